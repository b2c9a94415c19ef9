//! The cases of tests/kernels.rs with the blocks and the tiles of a real GPU, on whatever adapter there is.

mod kernels_cases;
mod reference;

use cytobox::kernels::{Adapter, Algorithm};
use kernels_cases::Case;

const ADAPTER: Adapter = Adapter::Hardware;

const fn case(algorithm: Algorithm, x: [usize; 4], kernel: usize, cout: usize, stride: usize, relu: bool) -> Case {
    Case { algorithm, x, kernel, cout, stride, relu }
}

/// Each block size and the tiles, with pixels and vec4s left over.
const CASES: [Case; 12] = [
    case(Algorithm::Block(8, 2), [1, 182, 182, 60], 1, 60, 1, true),
    case(Algorithm::Block(8, 2), [1, 297, 296, 20], 3, 20, 1, false),
    case(Algorithm::Block(8, 1), [1, 172, 172, 36], 3, 36, 1, true),
    case(Algorithm::Block(4, 1), [1, 121, 122, 36], 3, 36, 1, true),
    case(Algorithm::Block(2, 1), [2, 20, 21, 12], 3, 20, 1, false),
    case(Algorithm::Block(2, 1), [1, 3, 3, 8], 3, 8, 1, true),
    case(Algorithm::Tiles, [1, 64, 65, 16], 3, 60, 1, true),
    case(Algorithm::Tiles, [1, 64, 50, 48], 3, 64, 1, true),
    case(Algorithm::Tiles, [2, 48, 50, 32], 1, 132, 2, false),
    case(Algorithm::Tiles, [1, 60, 62, 48], 3, 256, 2, true),
    case(Algorithm::Tiles, [1, 112, 110, 64], 3, 128, 2, false),
    case(Algorithm::Tiles, [1, 128, 128, 16], 1, 128, 1, false),
];
