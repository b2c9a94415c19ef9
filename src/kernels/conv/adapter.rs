//! What kind of adapter computes, and the block sizes that suit it: a small table instead of a search at run time.

use std::sync::atomic::{AtomicU8, Ordering};

use cubecl::client::Client;

use super::gpu_rows::RowBlock;
use crate::kernels::geometry::{Axis, ConvGeometry};

/// Whether a GPU's programs run on a real GPU or are imitated by the CPU's cores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adapter {
    /// lavapipe, SwiftShader, WARP: few threads, dear loads, no use in barriers.
    Software,
    /// Thousands of threads.
    Hardware,
}

/// How a grid convolution is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// Tiles in shared memory.
    Tiles,
    /// The taps of a row of the kernel together.
    Rows(RowBlock),
    /// One tap at a time: pixels and lines of four channels of one thread's block.
    Block(usize, usize),
}

/// What decides about that; channels are multiples of four.
#[derive(Debug, Clone, Copy)]
pub struct GridShape {
    pub images: usize,
    /// Outputs in an image.
    pub rows: usize,
    pub columns: usize,
    pub cin: usize,
    pub cout: usize,
    /// Along a row, and the step from one output's inputs to the next one's.
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

/// Bytes of a buffer that every WebGPU device binds.
const BINDING: usize = 128 << 20;

static TOLD: AtomicU8 = AtomicU8::new(0);

impl Adapter {
    /// A browser hides the adapter's name from WebAssembly; the page, which sees `adapter.info`, can tell it here.
    pub fn tell(self) {
        TOLD.store(if self == Self::Software { 1 } else { 2 }, Ordering::Relaxed);
    }

    pub fn of(client: &Client) -> Self {
        match TOLD.load(Ordering::Relaxed) {
            1 => return Self::Software,
            2 => return Self::Hardware,
            _ => {}
        }
        let name = client.properties().identity.name.to_lowercase();
        let software = ["llvmpipe", "lavapipe", "swiftshader", "microsoft basic render"];
        if software.iter().any(|s| name.contains(s)) { Self::Software } else { Self::Hardware }
    }

    /// The blocks that a thread may compute, in pixels and lines (of four channels), the largest first.
    pub fn blocks(self) -> &'static [(usize, usize)] {
        match self {
            Self::Software => &[(32, 4), (16, 4), (8, 4), (8, 2), (4, 2), (4, 1)],
            Self::Hardware => &[(8, 2), (8, 1), (4, 1), (2, 1)],
        }
    }

    /// One thread's block for `products` matrices of so many pixels and lines: the one that takes least, of those that still
    /// give every core or multiprocessor work.
    pub fn block(self, products: usize, pixels: usize, lines: usize) -> (usize, usize) {
        let sizes = self.blocks();
        let enough = self.enough_threads();
        let threads = |&(p, l): &(usize, usize)| products * pixels.div_ceil(p) * lines.div_ceil(l);
        let work = |size: &&(usize, usize)| threads(size) * self.block_cost(**size);
        let fits = sizes.iter().filter(|size| size.1 <= lines && threads(size) >= enough);
        *fits.min_by_key(work).unwrap_or(&sizes[sizes.len() - 1])
    }

    /// How a grid convolution is computed.
    pub fn way(self, g: GridShape) -> Way {
        let pixels = g.images * g.rows * g.columns;
        if self.tiles(pixels, g.cin, g.cout) {
            return Way::Tiles;
        }
        if let Some(block) = self.row_block(g) {
            return Way::Rows(block);
        }
        let (pixels, lines) = self.block(1, pixels, g.cout / 4);
        Way::Block(pixels, lines)
    }

    /// The block of a convolution that takes the taps of a row together: where that suits the adapter and blocks fit into the rows.
    fn row_block(self, g: GridShape) -> Option<RowBlock> {
        if self == Self::Hardware || !(2..=3).contains(&g.taps) || g.step > 2 {
            return None;
        }
        let columns = [8, 4].into_iter().find(|&columns| g.columns.is_multiple_of(columns))?;
        let lines = g.cout / 4;
        let sizes =
            Self::row_sizes(columns).map(|(rows, lines)| RowBlock { rows, columns, lines, taps: g.taps, step: g.step });
        let threads =
            |b: &RowBlock| g.images * g.rows.div_ceil(b.rows) * (g.columns / columns) * lines.div_ceil(b.lines);
        let work = |b: &RowBlock| threads(b) * self.row_block_cost(*b);
        let fits = sizes.into_iter().filter(|b| b.lines <= lines && threads(b) >= self.enough_threads());
        fits.min_by_key(work).or_else(|| sizes.last().copied())
    }

    /// Rows and lines of the blocks of so many columns, the largest first. More than 256 sums take SwiftShader a quarter of a minute to compile.
    pub fn row_sizes(columns: usize) -> [(usize, usize); 4] {
        [(16, 4), (8, 4), (8, 2), (4, 1)].map(|(pixels, lines)| ((pixels / columns).max(1), lines))
    }

    fn row_block_cost(self, block: RowBlock) -> usize {
        let loads = block.rows * block.reach() + 4 * block.lines * block.taps;
        4 * self.load_cost() * loads + 16 * block.taps * block.pixels() * block.lines
    }

    /// What a block takes for one line of input channels, in multiply-adds of one channel: it loads a line for each pixel and four for
    /// each of its own.
    fn block_cost(self, (pixels, lines): (usize, usize)) -> usize {
        4 * self.load_cost() * (pixels + 4 * lines) + 16 * pixels * lines
    }

    /// What a loaded number takes, in multiply-adds. Measured on SwiftShader some fifty; on a graphics card a few.
    fn load_cost(self) -> usize {
        match self {
            Self::Software => 50,
            Self::Hardware => 8,
        }
    }

    /// Threads that give every core or multiprocessor work.
    fn enough_threads(self) -> usize {
        match self {
            Self::Software => 32,
            Self::Hardware => 32768,
        }
    }

    /// Threads of a workgroup of the convolutions: on a software adapter no more than it runs at a time, so that its cores share
    /// even a few blocks.
    pub fn workgroup(self) -> u32 {
        match self {
            Self::Software => 4,
            Self::Hardware => 32,
        }
    }

    /// Whether the tiles in shared memory should do it: on a real GPU, with enough tiles for its multiprocessors, each mostly full.
    fn tiles(self, pixels: usize, cin: usize, cout: usize) -> bool {
        let tiles = pixels.div_ceil(64) * cout.div_ceil(64);
        self == Self::Hardware && cin.is_multiple_of(16) && cout.is_multiple_of(4) && cout >= 48 && tiles >= 48
    }

    /// Whether a 3 × 3 convolution of stride 1 from so many channels to so many should go through Winograd's transforms. On a
    /// software adapter, where they save most of the time, unless few tiles share the transformed weights or little is
    /// multiplied in each; a real GPU has the shared-memory tiles.
    pub fn winograd(self, n: usize, oh: usize, ow: usize, cin: usize, cout: usize) -> bool {
        let tiles = n * oh.div_ceil(4) * ow.div_ceil(4);
        let wasted = tiles * 16 * 2 > n * oh * ow * 3;
        // Transformed: the tiles of input and output, and the weights.
        let fits = 36 * (tiles * cin.max(cout)).max(cin * cout) * 4 <= BINDING;
        self == Self::Software && tiles >= 8 && !wasted && fits && cin.min(cout) >= 32
    }

    /// Lines of input and of output channels of one thread's block of a weight gradient at most, and the pixels that it takes at
    /// a time.
    pub fn weight_block(self) -> (usize, usize) {
        match self {
            Self::Software => (4, 4),
            Self::Hardware => (2, 1),
        }
    }

    /// Threads that a weight gradient should have; more of them make more partial sums.
    pub fn reduction_threads(self) -> usize {
        match self {
            Self::Software => 64,
            Self::Hardware => 65536,
        }
    }
}
