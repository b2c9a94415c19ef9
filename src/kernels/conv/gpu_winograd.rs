//! 3 × 3 convolutions of stride 1 by Winograd's minimal filtering F(4 × 4, 3 × 3) (Lavin & Gray 2015, arXiv 1509.09308).
//!
//! The weights and tiles of 6 × 6 inputs, overlapping by two, are transformed. At each of the 36 transformed positions the
//! convolution is a matrix product. The products are transformed back into tiles of 4 × 4 outputs. This takes a quarter of the
//! multiplications, at the price of more loads and stores. The rounding error is a few times that of the plain sum, and a
//! value that is not finite turns every output of its tiles into NaN.

use burn_cubecl::tensor::CubeTensor;

use super::adapter::Adapter;
use super::gpu::empty;
use super::gpu_weight;
use super::winograd_tiles::{
    PLACES, TILE, gradient_tiles, input_tiles, matrix_products, output_tiles, weight_gradients, weight_tiles,
};
use crate::kernels::cube::{blockwise, buffer, elementwise};
use crate::kernels::geometry::ConvGeometry;

/// A convolution of stride 1 from `x [n, h, w, cin]` to `[n, oh, ow, cout]`; channels are multiples of four.
pub struct Winograd<'a> {
    pub x: &'a CubeTensor,
    pub x_shape: [usize; 4],
    /// `[3, 3, cin, cout]`
    pub w: &'a CubeTensor,
    /// Whether the weights' taps are reversed, as for a data gradient.
    pub reversed: bool,
    pub bias: Option<&'a CubeTensor>,
    /// Padding above and left of the input.
    pub padding: usize,
    pub out: &'a CubeTensor,
    pub out_shape: [usize; 4],
    pub relu: bool,
}

impl Winograd<'_> {
    pub fn run(&self) {
        let [cin, cout] = [self.x_shape[3], self.out_shape[3]];
        let tiles = Tiles::of(self.out_shape);
        let inputs = tiles.of_inputs(self.x, self.x_shape, self.padding);
        let weights = self.weights(cin, cout);
        let products = tiles.products(&inputs, &weights, cin, cout);
        let [_, oh, ow, _] = self.out_shape;
        let count = tiles.count() * cout / 4;
        let (cubes, dim) = elementwise(self.x, count);
        // SAFETY: one thread for each vec4 of each tile, none past `count`; nothing outside the output is written.
        unsafe {
            output_tiles::launch_unchecked(
                &self.x.client,
                cubes,
                dim,
                4,
                buffer(&products),
                buffer(self.bias.unwrap_or(self.w)),
                buffer(self.out),
                oh as u32,
                ow as u32,
                (cout / 4) as u32,
                tiles.rows as u32,
                tiles.columns as u32,
                count as u32,
                self.bias.is_some(),
                self.relu,
            );
        }
    }

    fn weights(&self, cin: usize, cout: usize) -> CubeTensor {
        let weights = empty(self.x, [PLACES, cin, cout]);
        let count = cin * cout / 4;
        let (cubes, dim) = elementwise(self.x, count);
        // SAFETY: one thread for each output vec4 of each input channel, none past `count`.
        unsafe {
            weight_tiles::launch_unchecked(
                &self.x.client,
                cubes,
                dim,
                4,
                buffer(self.w),
                buffer(&weights),
                count as u32,
                self.reversed,
            );
        }
        weights
    }
}

/// The gradient `[3, 3, cin, cout]` of a convolution of stride 1 with respect to its weights: `Gᵀ (V ⊙ A dy Aᵀ) G`, summed
/// over all tiles between the transforms. Channels are multiples of four.
pub fn weight_gradient(x: &CubeTensor, dy: &CubeTensor, g: &ConvGeometry) -> CubeTensor {
    let tiles = Tiles::of(g.out_shape());
    let inputs = tiles.of_inputs(x, g.x_shape(), g.padding);
    let gradients = tiles.of_gradients(dy, g.out_shape());
    // At each position this is the weight gradient of a 1 × 1 convolution over the tiles.
    let count = tiles.count();
    let flat =
        ConvGeometry { n: 1, h: 1, w: PLACES * count, oh: 1, ow: PLACES * count, kh: 1, kw: 1, padding: 0, ..*g };
    let sums = gpu_weight::partial_sums(&inputs, &gradients, &flat, count);
    let out = empty(x, [9, g.cin, g.cout]);
    let count = g.cin * g.cout / 4;
    let (cubes, dim) = elementwise(x, count);
    // SAFETY: one thread for each output vec4 of each input channel, none past `count`.
    unsafe {
        weight_gradients::launch_unchecked(&x.client, cubes, dim, 4, buffer(&sums), buffer(&out), count as u32);
    }
    out
}

/// The tiles that cover an output.
#[derive(Clone, Copy)]
struct Tiles {
    images: usize,
    rows: usize,
    columns: usize,
}

impl Tiles {
    fn of([n, oh, ow, _]: [usize; 4]) -> Self {
        Self { images: n, rows: oh.div_ceil(TILE), columns: ow.div_ceil(TILE) }
    }

    fn count(self) -> usize {
        self.images * self.rows * self.columns
    }

    /// `x [n, h, w, c]`, with `padding` zeros before it, to `[36, tiles, c]`.
    fn of_inputs(self, x: &CubeTensor, [_, h, w, c]: [usize; 4], padding: usize) -> CubeTensor {
        let out = empty(x, [PLACES, self.count(), c]);
        let count = self.count() * c / 4;
        let (cubes, dim) = elementwise(x, count);
        // SAFETY: one thread for each vec4 of each tile, none past `count`; nothing outside the input is read.
        unsafe {
            input_tiles::launch_unchecked(
                &x.client,
                cubes,
                dim,
                4,
                buffer(x),
                buffer(&out),
                h as u32,
                w as u32,
                (c / 4) as u32,
                padding as u32,
                self.rows as u32,
                self.columns as u32,
                count as u32,
            );
        }
        out
    }

    /// `dy [n, oh, ow, c]` to `[36, tiles, c]`.
    fn of_gradients(self, dy: &CubeTensor, [_, oh, ow, c]: [usize; 4]) -> CubeTensor {
        let out = empty(dy, [PLACES, self.count(), c]);
        let count = self.count() * c / 4;
        let (cubes, dim) = elementwise(dy, count);
        // SAFETY: as for the inputs.
        unsafe {
            gradient_tiles::launch_unchecked(
                &dy.client,
                cubes,
                dim,
                4,
                buffer(dy),
                buffer(&out),
                oh as u32,
                ow as u32,
                (c / 4) as u32,
                self.rows as u32,
                self.columns as u32,
                count as u32,
            );
        }
        out
    }

    /// `inputs [36, tiles, cin]` times `weights [36, cin, cout]`.
    fn products(self, inputs: &CubeTensor, weights: &CubeTensor, cin: usize, cout: usize) -> CubeTensor {
        let out = empty(inputs, [PLACES, self.count(), cout]);
        let (block, vec4s) = Adapter::of(&inputs.client).block(PLACES, self.count(), cout / 4);
        let threads = PLACES * self.count().div_ceil(block) * (cout / 4).div_ceil(vec4s);
        let (cubes, dim) = blockwise(inputs, threads);
        // SAFETY: a thread past the last position exits at once; tiles and channel groups past the last repeat it and are not
        // written.
        unsafe {
            matrix_products::launch_unchecked(
                &inputs.client,
                cubes,
                dim,
                4,
                buffer(inputs),
                buffer(weights),
                buffer(&out),
                self.count() as u32,
                (cin / 4) as u32,
                (cout / 4) as u32,
                block,
                vec4s,
            );
        }
        out
    }
}
