// What is bundled of TensorFlow.js: its core with the WebGPU backend; as plain packages, Node would get a core without gradients.
import "@tensorflow/tfjs-core/dist/register_all_gradients";
import "@tensorflow/tfjs-backend-webgpu";

export * from "@tensorflow/tfjs-core";
