// How an optimizer's step is decided on: norm, clipping, bias corrections and the next loss scale, or that it is skipped.
//
// The template that uses this declares the bindings control, for writing, and hyper.
//#use optim

fn isFinite(x: f32) -> bool { return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u; }

// From the sum of squares and the number of non-finite elements of a gradient.
fn decide(squares: f32, bad: u32) {
  let scale = select(1.0, control[LOSS_SCALE], control[LOSS_SCALE] > 0.0);
  let grows = hyper[GROWTH_INTERVAL] > 0.0;
  if (bad > 0u || !isFinite(squares)) {
    control[NORM] = 0.0;
    control[FACTOR] = 0.0;
    control[FINITE] = 0.0;
    control[LOSS_SCALE] = select(scale, max(1.0, scale * 0.5), grows);
    control[STREAK] = 0.0;
    return;
  }
  let norm = sqrt(squares);
  if (hyper[LIMIT] > 0.0 && norm > hyper[LIMIT]) {
    control[NORM] = norm;
    control[FACTOR] = 0.0;
    control[FINITE] = 0.0;
    return;
  }
  let clips = hyper[CLIP] > 0.0 && norm > hyper[CLIP];
  control[STEPS] += 1.0;
  control[NORM] = norm;
  control[FACTOR] = hyper[GRADIENT_SCALE] / scale * select(1.0, hyper[CLIP] / max(norm, 1e-30), clips);
  control[FINITE] = 1.0;
  control[CORRECTION_1] = hyper[BETA_1] * control[CORRECTION_1] + (1.0 - hyper[BETA_1]);
  control[CORRECTION_2] = hyper[BETA_2] * control[CORRECTION_2] + (1.0 - hyper[BETA_2]);
  let streak = control[STREAK] + 1.0;
  let due = grows && streak >= hyper[GROWTH_INTERVAL];
  control[LOSS_SCALE] = select(scale, min(scale * 2.0, max(scale, hyper[MAX_LOSS_SCALE])), due);
  control[STREAK] = select(streak, 0.0, due);
}
