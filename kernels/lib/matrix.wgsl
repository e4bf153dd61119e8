// Products of 16 × 16 matrices by whole subgroups: f16 factors lie in the template's `staged`, sums are f32. Places and strides count
// its elements, of 16 bytes each. `matrix-emulated` has the same functions for devices without subgroup matrices.
enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
alias L = subgroup_matrix_left<f16, 16, 16>;
alias R = subgroup_matrix_right<f16, 16, 16>;
alias C = subgroup_matrix_result<f32, 16, 16>;

// What tells the subgroups of a workgroup apart: a parameter of main.
struct Place { @builtin(subgroup_id) subgroup: u32 }
fn ownSubgroup(place: Place, t: u32) -> u32 { return place.subgroup; }

// The left factor from rows of m, and from rows of k (its transpose is what is stored).
fn loadL(at: u32, stride: u32) -> L { return subgroupMatrixLoad<L, row_major>(&staged, at, stride); }
fn loadLT(at: u32, stride: u32) -> L { return subgroupMatrixLoad<L, col_major>(&staged, at, stride); }
// The right factor from rows of k, and from rows of n.
fn loadR(at: u32, stride: u32) -> R { return subgroupMatrixLoad<R, row_major>(&staged, at, stride); }
fn loadRT(at: u32, stride: u32) -> R { return subgroupMatrixLoad<R, col_major>(&staged, at, stride); }

fn mma(l: L, r: R, sum: C) -> C { return subgroupMatrixMultiplyAccumulate(l, r, sum); }
// Stores f32: a row takes four elements.
fn storeC(at: u32, sum: C, stride: u32) { subgroupMatrixStore<row_major>(&staged, at, sum, stride); }

// The end of a short loop, for compilers to unroll.
fn ended(n: u32) -> u32 { return n; }
