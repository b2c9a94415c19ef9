//! Gradients. Each operation saves only what its tracked parents need: with frozen weights no input is saved, and an untracked
//! parent costs nothing in the backward pass. RoIAlign is the exception: one launch computes the gradients of all its levels.

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, TensorMetadata};

use super::geometry::{ConvGeometry, PoolGeometry};
use super::ops::{KernelOps, Kernels};
use super::roi_align::{LEVELS, RoiTable};

/// What a convolution saves: `x` for the weight gradient, `w` for the data gradient, the output for the ReLU's gradient.
#[derive(Clone, Debug)]
struct ConvState<B: Backend> {
    x: Option<FloatTensor<B>>,
    w: Option<FloatTensor<B>>,
    out: Option<FloatTensor<B>>,
    g: ConvGeometry,
}

#[derive(Debug)]
struct ConvBackward;

impl<B: Kernels> Backward<B, 3> for ConvBackward {
    type State = ConvState<B>;

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let [x, w, bias] = ops.parents;
        let ConvState { x: kept_x, w: kept_w, out, g } = ops.state;
        let mut dy = grads.consume::<B>(&ops.node);
        if let Some(out) = out {
            dy = B::relu_gradient(out, dy);
        }
        if let Some(bias) = bias {
            grads.register::<B>(bias.id, B::channel_sums(dy.clone()));
        }
        if let (Some(w), Some(x)) = (w, kept_x) {
            grads.register::<B>(w.id, B::conv_weight_gradient(x, dy.clone(), g));
        }
        if let (Some(x), Some(w)) = (x, kept_w) {
            grads.register::<B>(x.id, B::conv_data_gradient(dy, w, g));
        }
    }
}

#[derive(Debug)]
struct AddReluBackward;

impl<B: Kernels> Backward<B, 2> for AddReluBackward {
    /// The output.
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let dy = B::relu_gradient(ops.state, grads.consume::<B>(&ops.node));
        for parent in ops.parents.into_iter().flatten() {
            grads.register::<B>(parent.id, dy.clone());
        }
    }
}

#[derive(Debug)]
struct PoolBackward;

impl<B: Kernels> Backward<B, 1> for PoolBackward {
    type State = (FloatTensor<B>, PoolGeometry);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let [parent] = ops.parents;
        let (x, g) = ops.state;
        let dy = grads.consume::<B>(&ops.node);
        if let Some(parent) = parent {
            grads.register::<B>(parent.id, B::pool_gradient(x, dy, g));
        }
    }
}

#[derive(Debug)]
struct UpsampleBackward;

impl<B: Kernels> Backward<B, 2> for UpsampleBackward {
    /// Height and width of the top.
    type State = (usize, usize);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let [top, lateral] = ops.parents;
        let (height, width) = ops.state;
        let dy = grads.consume::<B>(&ops.node);
        if let Some(top) = top {
            grads.register::<B>(top.id, B::upsample_gradient(dy.clone(), height, width));
        }
        if let Some(lateral) = lateral {
            grads.register::<B>(lateral.id, dy);
        }
    }
}

#[derive(Debug)]
struct RoiBackward;

impl<B: Kernels> Backward<B, LEVELS> for RoiBackward {
    type State = Arc<RoiTable>;

    fn backward(self, ops: Ops<Self::State, LEVELS>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let dy = grads.consume::<B>(&ops.node);
        for (parent, gradient) in ops.parents.into_iter().zip(B::roi_gradient(dy, &ops.state)) {
            if let Some(parent) = parent {
                grads.register::<B>(parent.id, gradient);
            }
        }
    }
}

impl<B: KernelOps + Kernels, C: CheckpointStrategy> KernelOps for Autodiff<B, C> {
    fn kernel_conv(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        g: ConvGeometry,
        relu: bool,
    ) -> FloatTensor<Self> {
        let prepared = ConvBackward.prepare::<C>([x.node(), w.node(), bias.node()]).compute_bound().stateful();
        let (keep_x, keep_w) = (w.is_tracked(), x.is_tracked());
        let (x, w, bias) = (x.into_primitive(), w.into_primitive(), bias.into_primitive());
        match prepared {
            OpsKind::Tracked(prepared) => {
                let (kept_x, kept_w) = (keep_x.then(|| x.clone()), keep_w.then(|| w.clone()));
                let out = B::conv(x, w, bias, g, relu);
                let state = ConvState { x: kept_x, w: kept_w, out: relu.then(|| out.clone()), g };
                prepared.finish(state, out)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::conv(x, w, bias, g, relu)),
        }
    }

    fn kernel_add_relu(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        let prepared = AddReluBackward.prepare::<C>([a.node(), b.node()]).compute_bound().stateful();
        let out = B::add_relu(a.into_primitive(), b.into_primitive());
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish(out.clone(), out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }

    fn kernel_pool(x: FloatTensor<Self>, g: PoolGeometry) -> FloatTensor<Self> {
        let prepared = PoolBackward.prepare::<C>([x.node()]).compute_bound().stateful();
        let x = x.into_primitive();
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish((x.clone(), g), B::pool(x, g)),
            OpsKind::UnTracked(prepared) => prepared.finish(B::pool(x, g)),
        }
    }

    fn kernel_upsample(top: FloatTensor<Self>, lateral: FloatTensor<Self>) -> FloatTensor<Self> {
        let prepared = UpsampleBackward.prepare::<C>([top.node(), lateral.node()]).compute_bound().stateful();
        let (top, lateral) = (top.into_primitive(), lateral.into_primitive());
        let [_, height, width, _] = top.shape().dims();
        let out = B::upsample(top, lateral);
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish((height, width), out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }

    fn kernel_roi(
        level0: FloatTensor<Self>,
        level1: FloatTensor<Self>,
        level2: FloatTensor<Self>,
        level3: FloatTensor<Self>,
        table: Arc<RoiTable>,
    ) -> FloatTensor<Self> {
        let nodes = [level0.node(), level1.node(), level2.node(), level3.node()];
        let prepared = RoiBackward.prepare::<C>(nodes).compute_bound().stateful();
        let mut levels: Vec<_> = [level0, level1, level2, level3].into_iter().map(|l| l.into_primitive()).collect();
        levels.truncate(table.levels.len());
        let out = B::roi(levels, &table);
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish(table, out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }
}
