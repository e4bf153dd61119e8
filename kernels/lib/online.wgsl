// Σ exp(x − top) with top = max x, gathered in any order in one pass (Milakov and Gimelshein 2018).
struct Online { top: f32, sum: f32 }

fn joinOnline(a: Online, b: Online) -> Online {
  let top = max(a.top, b.top);
  return Online(top, a.sum * exp(a.top - top) + b.sum * exp(b.top - top));
}
