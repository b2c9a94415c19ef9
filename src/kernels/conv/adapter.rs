//! The kind of GPU adapter and the block sizes that suit it: a small table instead of autotuning at run time.

use std::sync::atomic::{AtomicU8, Ordering};

use cubecl::client::Client;

use super::gpu_rows::RowBlock;
use crate::kernels::geometry::{Axis, ConvGeometry};

/// Whether shaders run on a real GPU or are emulated on the CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adapter {
    /// lavapipe, SwiftShader, WARP: few threads, expensive loads, nothing to gain from barriers.
    Software,
    /// Thousands of threads.
    Hardware,
}

/// The algorithm of a grid convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// Implicit GEMM with tiles in shared memory.
    Tiles,
    /// All taps of a kernel row at once.
    Rows(RowBlock),
    /// One tap at a time; the fields are the pixels and channel groups (vec4) of one thread's block.
    Block(usize, usize),
}

/// The sizes that decide which [`Algorithm`] is used; channels are multiples of four.
#[derive(Debug, Clone, Copy)]
pub struct GridShape {
    pub images: usize,
    /// Outputs per image.
    pub rows: usize,
    pub columns: usize,
    pub cin: usize,
    pub cout: usize,
    /// Taps along a row, and the input step from one output to the next.
    pub taps: usize,
    pub step: usize,
}

impl GridShape {
    /// Of a forward pass.
    pub fn forward(g: &ConvGeometry) -> Self {
        let (y, x) = (Axis::forward(g.oh, g.kh, g.stride, g.padding), Axis::forward(g.ow, g.kw, g.stride, g.padding));
        Self::of(g.n, &y, &x, g.cin, g.cout)
    }

    /// Of a data gradient: one for each remainder of the input's coordinates modulo the stride.
    pub fn gradients(g: &ConvGeometry) -> Vec<Self> {
        let xs = Axis::gradient(g.w, g.kw, g.stride, g.padding);
        let ys = Axis::gradient(g.h, g.kh, g.stride, g.padding);
        ys.iter().flat_map(|y| xs.iter().map(|x| Self::of(g.n, y, x, g.cout, g.cin))).collect()
    }

    pub fn of(images: usize, y: &Axis, x: &Axis, cin: usize, cout: usize) -> Self {
        let (cin, cout) = (cin.next_multiple_of(4), cout.next_multiple_of(4));
        Self { images, rows: y.len, columns: x.len, cin, cout, taps: x.taps, step: x.in_step }
    }
}

/// The buffer size in bytes that every WebGPU device can bind.
const BINDING: usize = 128 << 20;

static OVERRIDE: AtomicU8 = AtomicU8::new(0);

impl Adapter {
    /// Overrides the detection. A browser hides the adapter's name from WebAssembly, but the page sees `adapter.info`.
    pub fn set_detected(self) {
        OVERRIDE.store(if self == Self::Software { 1 } else { 2 }, Ordering::Relaxed);
    }

    pub fn of(client: &Client) -> Self {
        match OVERRIDE.load(Ordering::Relaxed) {
            1 => return Self::Software,
            2 => return Self::Hardware,
            _ => {}
        }
        let name = client.properties().identity.name.to_lowercase();
        let software = ["llvmpipe", "lavapipe", "swiftshader", "microsoft basic render"];
        if software.iter().any(|s| name.contains(s)) { Self::Software } else { Self::Hardware }
    }

    /// The block sizes of a thread, in pixels and channel groups (vec4), largest first.
    pub fn blocks(self) -> &'static [(usize, usize)] {
        match self {
            Self::Software => &[(32, 4), (16, 4), (8, 4), (8, 2), (4, 2), (4, 1)],
            Self::Hardware => &[(8, 2), (8, 1), (4, 1), (2, 1)],
        }
    }

    /// The block of one thread for `products` matrices of `pixels` × `vec4s`: the cheapest one that still gives every core or
    /// multiprocessor work.
    pub fn block(self, products: usize, pixels: usize, vec4s: usize) -> (usize, usize) {
        let sizes = self.blocks();
        let enough = self.enough_threads();
        let threads = |&(p, l): &(usize, usize)| products * pixels.div_ceil(p) * vec4s.div_ceil(l);
        let work = |size: &&(usize, usize)| threads(size) * self.block_cost(**size);
        let fits = sizes.iter().filter(|size| size.1 <= vec4s && threads(size) >= enough);
        *fits.min_by_key(work).unwrap_or(&sizes[sizes.len() - 1])
    }

    /// The algorithm for a grid convolution.
    pub fn algorithm(self, g: GridShape) -> Algorithm {
        let pixels = g.images * g.rows * g.columns;
        if self.tiles(pixels, g.cin, g.cout) {
            return Algorithm::Tiles;
        }
        if let Some(block) = self.row_block(g) {
            return Algorithm::Rows(block);
        }
        let (pixels, vec4s) = self.block(1, pixels, g.cout / 4);
        Algorithm::Block(pixels, vec4s)
    }

    /// The block for [`Algorithm::Rows`], if that suits the adapter and the blocks divide the rows.
    fn row_block(self, g: GridShape) -> Option<RowBlock> {
        if self == Self::Hardware || !(2..=3).contains(&g.taps) || g.step > 2 {
            return None;
        }
        let columns = [8, 4].into_iter().find(|&columns| g.columns.is_multiple_of(columns))?;
        let vec4s = g.cout / 4;
        let sizes =
            Self::row_sizes(columns).map(|(rows, vec4s)| RowBlock { rows, columns, vec4s, taps: g.taps, step: g.step });
        let threads =
            |b: &RowBlock| g.images * g.rows.div_ceil(b.rows) * (g.columns / columns) * vec4s.div_ceil(b.vec4s);
        let work = |b: &RowBlock| threads(b) * self.row_block_cost(*b);
        let fits = sizes.into_iter().filter(|b| b.vec4s <= vec4s && threads(b) >= self.enough_threads());
        fits.min_by_key(work).or_else(|| sizes.last().copied())
    }

    /// Rows and channel groups of the blocks with this many columns, largest first. SwiftShader takes 15 seconds to compile a block
    /// of more than 256 sums.
    pub fn row_sizes(columns: usize) -> [(usize, usize); 4] {
        [(16, 4), (8, 4), (8, 2), (4, 1)].map(|(pixels, vec4s)| ((pixels / columns).max(1), vec4s))
    }

    fn row_block_cost(self, block: RowBlock) -> usize {
        let loads = block.rows * block.reach() + 4 * block.vec4s * block.taps;
        4 * self.load_cost() * loads + 16 * block.taps * block.pixels() * block.vec4s
    }

    /// The cost of a block for one input vec4, in single multiply-adds: it loads one vec4 for each pixel and four for each of its
    /// output channel groups.
    fn block_cost(self, (pixels, vec4s): (usize, usize)) -> usize {
        4 * self.load_cost() * (pixels + 4 * vec4s) + 16 * pixels * vec4s
    }

    /// The cost of loading a number, in multiply-adds: about 50 when measured on SwiftShader, a few on a graphics card.
    fn load_cost(self) -> usize {
        match self {
            Self::Software => 50,
            Self::Hardware => 8,
        }
    }

    /// Enough threads to give every core or multiprocessor work.
    fn enough_threads(self) -> usize {
        match self {
            Self::Software => 32,
            Self::Hardware => 32768,
        }
    }

    /// Workgroup size of the convolutions. On a software adapter no larger than it runs at a time, so that even a few blocks are
    /// shared among the cores.
    pub fn workgroup(self) -> u32 {
        match self {
            Self::Software => 4,
            Self::Hardware => 32,
        }
    }

    /// Whether shared-memory tiles should be used: on a real GPU, with enough tiles for its multiprocessors, each mostly full.
    fn tiles(self, pixels: usize, cin: usize, cout: usize) -> bool {
        let tiles = pixels.div_ceil(64) * cout.div_ceil(64);
        self == Self::Hardware && cin.is_multiple_of(16) && cout.is_multiple_of(4) && cout >= 48 && tiles >= 48
    }

    /// Whether a 3 × 3 convolution of stride 1 should use Winograd's algorithm. On a software adapter it saves most of the time,
    /// unless few tiles share the transformed weights or there are few channels; a real GPU uses shared-memory tiles.
    pub fn winograd(self, n: usize, oh: usize, ow: usize, cin: usize, cout: usize) -> bool {
        let tiles = n * oh.div_ceil(4) * ow.div_ceil(4);
        let wasted = tiles * 16 * 2 > n * oh * ow * 3;
        // After the transforms: tiles of input and output, and the weights.
        let fits = 36 * (tiles * cin.max(cout)).max(cin * cout) * 4 <= BINDING;
        self == Self::Software && tiles >= 8 && !wasted && fits && cin.min(cout) >= 32
    }

    /// For a weight gradient: the largest number of input and output channel groups (vec4) in one thread's block, and the pixels
    /// it processes at a time.
    pub fn weight_block(self) -> (usize, usize) {
        match self {
            Self::Software => (4, 4),
            Self::Hardware => (2, 1),
        }
    }

    /// Target number of threads of a weight gradient. More threads mean more partial sums.
    pub fn reduction_threads(self) -> usize {
        match self {
            Self::Software => 64,
            Self::Hardware => 65536,
        }
    }
}
