// Eight halves in a vector of 16 bytes, as two vectors of f32.

fn low4(x: vec4u) -> vec4f { return vec4f(unpack2x16float(x.x), unpack2x16float(x.y)); }
fn high4(x: vec4u) -> vec4f { return vec4f(unpack2x16float(x.z), unpack2x16float(x.w)); }
fn pack8(low: vec4f, high: vec4f) -> vec4u { return vec4u(pack2x16float(low.xy), pack2x16float(low.zw), pack2x16float(high.xy), pack2x16float(high.zw)); }
