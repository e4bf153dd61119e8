// Which subgroup matrices a device multiplies rightly: each shape it claims is compiled, run once and compared with the exact product.
import { halfToNumber, numberToHalf } from "../kernel/dtype.ts";
import type { MatrixShape } from "../kernel/define.ts";
import { BUFFER_USAGE } from "./constants.ts";
import type { Device } from "./device.ts";
import { createReadback } from "./readback.ts";

const FEATURE = "chromium-experimental-subgroup-matrix";

/** What an adapter says of its matrices; no published type declarations have it yet. */
interface Claims {
  readonly subgroupMatrixConfigs?: Iterable<{ readonly componentType: string; readonly resultComponentType: string; readonly M: number; readonly N: number; readonly K: number }>;
  readonly subgroupMaxSize?: number;
}

/**
 * The shapes of matrices of floats that give the exact product of small integers, in both layouts, from and to workgroup memory as kernels
 * use them. A shape that does not compile or is wrong is left out, and with it every variant that needs it.
 */
export async function probeMatrices(device: Device, claims: Claims): Promise<MatrixShape[]> {
  if (!device.traits.features.has(FEATURE)) return [];
  const right: MatrixShape[] = [];
  for (const { componentType: component, resultComponentType: result, M, N, K } of claims.subgroupMatrixConfigs ?? []) {
    if (!isFloat(component) || !isFloat(result) || ((component === "f16" || result === "f16") && !device.traits.features.has("shader-f16"))) continue;
    const shape = { component, result, M, N, K };
    if (!right.some((one) => JSON.stringify(one) === JSON.stringify(shape)) && (await multiplies(device, shape, claims.subgroupMaxSize ?? 128))) right.push(shape);
  }
  return right;
}

function isFloat(type: string): type is "f16" | "f32" {
  return type === "f16" || type === "f32";
}

/** Elements of a type in the 16 bytes that workgroup memory is counted in. */
function perVector(type: "f16" | "f32"): number {
  return type === "f16" ? 8 : 4;
}

/**
 * Loads A and B by rows and by columns, multiplies both pairs and stores the results one after the other: [2, M, N].
 * `width` is the workgroup's, a multiple of the widest subgroup; several subgroups store the same.
 */
export function matrixProbe({ component, result, M, N, K }: MatrixShape, width: number): string {
  const [of, from] = [perVector(component), perVector(result)];
  const [a, b, c] = [(M * K) / of, (K * N) / of, (M * N) / from];
  return `enable subgroups; enable chromium_experimental_subgroup_matrix; ${component === "f16" || result === "f16" ? "enable f16;" : ""}
alias L = subgroup_matrix_left<${component}, ${K}, ${M}>;
alias R = subgroup_matrix_right<${component}, ${N}, ${K}>;
alias C = subgroup_matrix_result<${result}, ${N}, ${M}>;
@group(0) @binding(0) var<storage, read> factors: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> products: array<vec4u>;
var<workgroup> staged: array<vec4u, ${Math.max(a + b, 2 * c)}>;
@compute @workgroup_size(${width})
fn main(@builtin(local_invocation_index) t: u32) {
  for (var i = t; i < ${a + b}u; i += ${width}u) { staged[i] = factors[i]; }
  workgroupBarrier();
  var byRows: C;
  var byColumns: C;
  byRows = subgroupMatrixMultiplyAccumulate(subgroupMatrixLoad<L, row_major>(&staged, 0u, ${K / of}u), subgroupMatrixLoad<R, row_major>(&staged, ${a}u, ${N / of}u), byRows);
  byColumns = subgroupMatrixMultiplyAccumulate(subgroupMatrixLoad<L, col_major>(&staged, 0u, ${M / of}u), subgroupMatrixLoad<R, col_major>(&staged, ${a}u, ${K / of}u), byColumns);
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&staged, 0u, byRows, ${N / from}u);
  subgroupMatrixStore<row_major>(&staged, ${c}u, byColumns, ${N / from}u);
  workgroupBarrier();
  for (var i = t; i < ${2 * c}u; i += ${width}u) { products[i] = staged[i]; }
}
`;
}

/** Integers whose products and sums are exact in the result's type; in f32 they are too long for sums that are secretly f16. */
export function probeFactors({ result, M, N, K }: MatrixShape): Float64Array {
  const most = result === "f32" ? 63 : Math.floor(Math.sqrt(2048 / K));
  return Float64Array.from({ length: M * K + K * N }, (_, i) => ((i * 7919 + (i >> 3) * 104729) % (2 * most + 1)) - most);
}

/** What the probe must give: [2, M, N]. */
export function probeProducts({ M, N, K }: MatrixShape, factors: Float64Array): Float64Array {
  const [a, b] = [factors.subarray(0, M * K), factors.subarray(M * K)];
  return Float64Array.from({ length: 2 * M * N }, (_, at) => {
    const columns = at >= M * N;
    const [i, j] = [Math.floor((at % (M * N)) / N), at % N];
    let sum = 0;
    for (let p = 0; p < K; p++) sum += columns ? a[p * M + i]! * b[j * K + p]! : a[i * K + p]! * b[p * N + j]!;
    return sum;
  });
}

function pack(values: Float64Array, type: "f16" | "f32"): Uint8Array<ArrayBuffer> {
  return new Uint8Array(type === "f16" ? Uint16Array.from(values, numberToHalf).buffer : Float32Array.from(values).buffer);
}

function unpack(bytes: ArrayBuffer, type: "f16" | "f32"): Float64Array {
  return type === "f16" ? Float64Array.from(new Uint16Array(bytes), halfToNumber) : Float64Array.from(new Float32Array(bytes));
}

async function multiplies(device: Device, shape: MatrixShape, width: number): Promise<boolean> {
  const factors = probeFactors(shape);
  const truth = probeProducts(shape, factors);
  const input = pack(factors, shape.component);
  const bytes = truth.length * (16 / perVector(shape.result));
  const { storage, copySrc, copyDst } = BUFFER_USAGE;
  const made: GPUBuffer[] = [];
  const readback = createReadback(device, "check");
  try {
    const results = await device.guard(`probe of ${shape.component} matrices`, async () => {
      const make = (label: string, size: number) => {
        const buffer = device.createBuffer("check", label, size, storage | copySrc | copyDst);
        made.push(buffer);
        return buffer;
      };
      const [from, to] = [make("factors", input.byteLength), make("products", bytes)];
      device.gpu.queue.writeBuffer(from, 0, input);
      const module = device.gpu.createShaderModule({ code: matrixProbe(shape, width) });
      const pipeline = device.gpu.createComputePipeline({ layout: "auto", compute: { module, entryPoint: "main" } });
      const encoder = device.gpu.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      const resources = [from, to].map((buffer, binding) => ({ binding, resource: { buffer } }));
      pass.setBindGroup(0, device.gpu.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries: resources }));
      pass.dispatchWorkgroups(1);
      pass.end();
      device.gpu.queue.submit([encoder.finish()]);
      return readback.read([{ buffer: to, offset: 0, size: bytes }]);
    });
    const got = unpack(results[0]!, shape.result);
    return truth.every((value, i) => got[i] === value);
  } catch {
    device.assertAlive(`probe of ${shape.component} matrices`);
    return false; // another syntax, or a driver that refuses: the device goes on without
  } finally {
    readback.dispose();
    for (const buffer of made) device.destroyBuffer(buffer);
  }
}
