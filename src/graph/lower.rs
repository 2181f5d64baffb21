//! A super-network and one of its architectures become a graph.

use super::params::{Active, Param, Role};
use super::{Graph, Op, ParamId, ShortcutEdge, Statistics, Tensor, TensorId, row_id};
use crate::kernels::RowId;
use crate::kernels::conv::Conv;
use crate::kernels::depthwise::Depthwise;
use crate::space::{Activation, Arch, LayerKind, LayerShape, Row, Shortcut, Supernet};

/// The graph of `arch`: the super-network itself where `arch` is the full one.
pub fn lower(net: &Supernet, arch: &Arch) -> Graph {
    let input = net.input();
    let images = Tensor { name: "images".into(), size: input.size, channels: input.channels };
    let mut builder = Builder {
        graph: Graph {
            tensors: vec![images],
            ops: Vec::new(),
            params: Vec::new(),
            statistics: Vec::new(),
            logits: 0,
            shapes: net.shapes(arch),
        },
    };
    let mut x = Graph::IMAGES;
    let mut last = row_id(0, Row::Input);
    for shape in builder.graph.shapes.clone() {
        let layer = &net.layers()[shape.layer];
        if !shape.is_removed() {
            x = match &layer.kind {
                LayerKind::Conv { kernel } => builder.conv_layer(&layer.name, &shape, *kernel, x),
                LayerKind::InvertedResidual { .. } => builder.block(&layer.name, &shape, x),
            };
        }
        last = row_id(shape.layer, Row::Output);
    }
    let pooled = builder.pool("pool", x, last);
    builder.graph.logits =
        builder.linear("classifier", pooled, net.classes(), Active::Row(last), RowId::UNLIMITED, Activation::Identity);
    builder.graph
}

struct Builder {
    graph: Graph,
}

/// A normalisation to append after a convolution.
struct Affine {
    activation: Activation,
    kept: RowId,
    shortcut: Option<ShortcutEdge>,
    channels: u32,
}

impl Builder {
    fn tensor(&mut self, name: String, size: u32, channels: u32) -> TensorId {
        self.graph.tensors.push(Tensor { name, size, channels });
        self.graph.tensors.len() - 1
    }

    fn param(&mut self, mut param: Param) -> ParamId {
        param.first_block = self.graph.blocks();
        self.graph.params.push(param);
        self.graph.params.len() - 1
    }

    /// A convolution with normalisation, activation and, where the layer has one, the bypass.
    fn conv_layer(&mut self, name: &str, shape: &LayerShape, kernel: u32, x: TensorId) -> TensorId {
        let kept = row_id(shape.layer, Row::Kept);
        let conv = Conv {
            kernel,
            stride: shape.stride,
            channels: shape.input,
            filters: shape.kept,
            input: row_id(shape.layer, Row::Input),
            kept,
            kernel_row: row_id(shape.layer, Row::Kernel),
        };
        self.conv_norm(&format!("{name}.conv"), conv, shape.output_size, x, shape.activation, Some(shape))
    }

    /// An inverted residual block.
    fn block(&mut self, name: &str, shape: &LayerShape, x: TensorId) -> TensorId {
        let row = |row| row_id(shape.layer, row);
        let expand = Conv {
            kernel: 1,
            stride: 1,
            channels: shape.input,
            filters: shape.expansion,
            input: row(Row::Input),
            kept: row(Row::Expansion),
            kernel_row: RowId::UNLIMITED,
        };
        let first_op = self.graph.ops.len();
        let expanded = self.conv_norm(&format!("{name}.expand"), expand, shape.input_size, x, shape.activation, None);
        let depthwise = Depthwise {
            kernel: shape.kernel,
            stride: shape.stride,
            channels: shape.expansion,
            kept: row(Row::Expansion),
            kernel_row: row(Row::Kernel),
        };
        let mut inner = self.depthwise(&format!("{name}.depthwise"), depthwise, shape, expanded);
        if shape.squeezed > 0 {
            inner = self.squeeze_excite(&format!("{name}.squeeze"), shape, inner);
        }
        let project = Conv {
            channels: shape.expansion,
            filters: shape.kept,
            input: row(Row::Expansion),
            kept: row(Row::Kept),
            ..expand
        };
        let path = format!("{name}.project");
        let z = self.conv(&path, project, shape.output_size, inner);
        let shortcut = self.shortcut(shape, x);
        let y = self.affine(
            &path,
            z,
            shape.output_size,
            shape.output,
            Affine { activation: Activation::Identity, kept: row(Row::Kept), shortcut, channels: shape.kept },
        );
        if let (Some(edge), Op::Conv { source_of, .. }) = (shortcut, &mut self.graph.ops[first_op]) {
            *source_of = Some(ShortcutEdge { end: y, ..edge });
        }
        y
    }

    fn shortcut(&self, shape: &LayerShape, source: TensorId) -> Option<ShortcutEdge> {
        (shape.shortcut != Shortcut::None).then(|| ShortcutEdge {
            kind: shape.shortcut,
            end: source,
            kept: row_id(shape.layer, Row::Kept),
            bypass: row_id(shape.layer, Row::Bypass),
        })
    }

    /// A dense convolution and its normalisation; `shape` is the layer whose shortcut ends here, if any.
    fn conv_norm(
        &mut self,
        path: &str,
        conv: Conv,
        size: u32,
        x: TensorId,
        activation: Activation,
        shape: Option<&LayerShape>,
    ) -> TensorId {
        let op = self.graph.ops.len();
        let z = self.conv(path, conv, size, x);
        let shortcut = shape.and_then(|shape| self.shortcut(shape, x));
        let width = shape.map_or(conv.filters, |shape| shape.output);
        let affine = Affine { activation, kept: conv.kept, shortcut, channels: conv.filters };
        let y = self.affine(path, z, size, width, affine);
        if let (Some(edge), Op::Conv { source_of, .. }) = (shortcut, &mut self.graph.ops[op]) {
            *source_of = Some(ShortcutEdge { end: y, ..edge });
        }
        y
    }

    fn conv(&mut self, path: &str, conv: Conv, size: u32, x: TensorId) -> TensorId {
        let weight = self.param(Param {
            name: format!("{path}.weight"),
            role: Role::Dense,
            kernel: conv.kernel,
            inputs: conv.channels,
            channels: conv.filters,
            first_block: 0,
            active_inputs: Active::Row(conv.input),
            active_channels: Active::Row(conv.kept),
            active_kernel: if conv.kernel == 1 { Active::All } else { Active::Row(conv.kernel_row) },
        });
        let z = self.tensor(path.to_owned(), size, conv.filters);
        self.graph.ops.push(Op::Conv { conv, x, weight, z, source_of: None });
        z
    }

    fn depthwise(&mut self, path: &str, depthwise: Depthwise, shape: &LayerShape, x: TensorId) -> TensorId {
        let weight = self.param(Param {
            name: format!("{path}.weight"),
            role: Role::Depthwise,
            kernel: depthwise.kernel,
            inputs: 1,
            channels: depthwise.channels,
            first_block: 0,
            active_inputs: Active::All,
            active_channels: Active::Row(depthwise.kept),
            active_kernel: Active::Row(depthwise.kernel_row),
        });
        let z = self.tensor(path.to_owned(), shape.output_size, depthwise.channels);
        self.graph.ops.push(Op::Depthwise { depthwise, x, weight, z });
        let affine =
            Affine { activation: shape.activation, kept: depthwise.kept, shortcut: None, channels: depthwise.channels };
        self.affine(path, z, shape.output_size, depthwise.channels, affine)
    }

    fn squeeze_excite(&mut self, path: &str, shape: &LayerShape, x: TensorId) -> TensorId {
        let expansion = row_id(shape.layer, Row::Expansion);
        let squeezed = row_id(shape.layer, Row::Squeezed);
        let pool_op = self.graph.ops.len();
        let pooled = self.pool(path, x, expansion);
        let hidden = self.linear(
            &format!("{path}.reduce"),
            pooled,
            shape.squeezed,
            Active::Row(expansion),
            squeezed,
            Activation::Relu,
        );
        let gate = self.linear(
            &format!("{path}.gate"),
            hidden,
            shape.expansion,
            Active::Row(squeezed),
            expansion,
            Activation::HardSigmoid,
        );
        let y = self.tensor(format!("{path}.excite"), shape.output_size, shape.expansion);
        let excite_op = self.graph.ops.len();
        self.graph.ops.push(Op::Excite { x, gate, kept: expansion, y });
        if let Op::Pool { excite, .. } = &mut self.graph.ops[pool_op] {
            *excite = Some(excite_op);
        }
        y
    }

    fn pool(&mut self, path: &str, x: TensorId, kept: RowId) -> TensorId {
        let channels = self.graph.tensors[x].channels;
        let y = self.tensor(format!("{path}.pool"), 1, channels);
        self.graph.ops.push(Op::Pool { x, kept, y, excite: None });
        y
    }

    /// A linear layer, its bias and activation; `kept` is the row of its outputs.
    fn linear(
        &mut self,
        path: &str,
        x: TensorId,
        channels: u32,
        inputs: Active,
        kept: RowId,
        activation: Activation,
    ) -> TensorId {
        let width = self.graph.tensors[x].channels;
        let conv = Conv {
            kernel: 1,
            stride: 1,
            channels: width,
            filters: channels,
            input: RowId::UNLIMITED,
            kept: RowId::UNLIMITED,
            kernel_row: RowId::UNLIMITED,
        };
        let weight = self.param(Param {
            name: format!("{path}.weight"),
            role: Role::Linear,
            kernel: 1,
            inputs: width,
            channels,
            first_block: 0,
            active_inputs: inputs,
            active_channels: Active::Row(kept),
            active_kernel: Active::All,
        });
        let z = self.tensor(path.to_owned(), 1, channels);
        self.graph.ops.push(Op::Linear { conv, x, weight, z });
        let name = format!("{path}.bias");
        let bias = self.param(Param {
            name: name.clone(),
            role: Role::Bias,
            kernel: 1,
            inputs: 1,
            channels,
            first_block: 0,
            active_inputs: Active::All,
            active_channels: Active::Row(kept),
            active_kernel: Active::All,
        });
        let y = self.tensor(name, 1, channels);
        self.graph.ops.push(Op::Bias { z, bias, activation, kept, y });
        y
    }

    fn affine(&mut self, path: &str, z: TensorId, size: u32, width: u32, affine: Affine) -> TensorId {
        let Affine { activation, kept, shortcut, channels } = affine;
        let name = format!("{path}.norm");
        let statistics = self.graph.statistics.len();
        self.graph.statistics.push(Statistics { name: name.clone(), channels });
        let param = self.param(Param {
            name: name.clone(),
            role: Role::Affine,
            kernel: 1,
            inputs: 2,
            channels,
            first_block: 0,
            active_inputs: Active::All,
            active_channels: Active::Row(kept),
            active_kernel: Active::All,
        });
        let y = self.tensor(name, size, width);
        self.graph.ops.push(Op::Norm { z, affine: param, statistics, activation, kept, shortcut, y });
        y
    }
}
