// What a loss is where a label names no class: NaN, which no later sum can hide. WGSL has no constant for it; any bits below make one.
fn noLabel(label: u32) -> f32 { return bitcast<f32>(0x7fc00000u | label); }
