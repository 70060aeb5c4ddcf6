//! From layers to operations: what each layer makes of the value before it, and which of them one kernel does together.

use super::{Graph, MOST_DEPTH, Misfit, Node, Operation, Place, Row, Shape};
use crate::kernels::activation::Function;
use crate::kernels::plain_conv::Window;
use crate::model::spec::{ParameterSpec, Start};
use crate::model::{Layer, Layout, Padding};

/// No description asks for more, as with the limits in `graph.rs`: no size overflows, no loop is too long.
const MOST_UNITS: u32 = 16_384;
const MOST_INPUTS: u64 = 1 << 26;
const LARGEST_KERNEL: u32 = 31;
/// Pixels of all pool windows over a pixel.
const MOST_WINDOWS: u32 = 65_000;

impl Graph {
    fn value(&mut self, shape: Shape) -> usize {
        self.values.push(shape);
        self.values.len() - 1
    }

    fn push(
        &mut self,
        operation: Operation,
        input: usize,
        skip: Option<usize>,
        shape: Shape,
        parameters: usize,
    ) -> usize {
        let output = self.value(shape);
        let end = self.parameters.len();
        self.nodes.push(Node { operation, input, skip, output, parameters: end - parameters..end });
        output
    }

    fn parameter(&mut self, name: String, layout: Layout, start: Start, learned: bool) {
        self.parameters.push(ParameterSpec { name, layout, start, learned });
    }

    fn row(&mut self, place: &Place, name: &str, description: String, output: Shape, cost: (u64, u64)) {
        let depth = place.0.len() - 1;
        let (parameters, multiply_adds) = cost;
        self.rows.push(Row { depth, name: name.to_owned(), description, output, parameters, multiply_adds });
    }

    /// The layers one after another; gives the last value.
    pub(super) fn walk(&mut self, layers: &[Layer], list: &Place, mut x: usize, classes: u32) -> Result<usize, Misfit> {
        let mut index = 0;
        while index < layers.len() {
            let place = list.at(index);
            let taken;
            (x, taken) = match &layers[index..] {
                [Layer::Residual { body, shortcut }, after @ ..] => {
                    self.residual(body, shortcut, &place, x, activation(after), classes)?
                }
                [Layer::BatchNorm { momentum, epsilon }, after @ ..] => {
                    let function = activation(after);
                    (self.batch_norm(&place, x, (*momentum, *epsilon), None, function)?, 1 + taken_by(function))
                }
                [Layer::Dropout { rate }, Layer::Flatten, ..] => {
                    // Of the same numbers in the same order, but in place.
                    let rate = self.rate(&place, *rate)?;
                    let rows = self.flatten(&list.at(index + 1), x)?;
                    (self.dropout(&place, rows, rate)?, 2)
                }
                [layer, after @ ..] => self.layer(layer, after, &place, x, classes)?,
                [] => (x, 1),
            };
            index += taken;
        }
        Ok(x)
    }

    fn layer(
        &mut self,
        layer: &Layer,
        after: &[Layer],
        place: &Place,
        x: usize,
        classes: u32,
    ) -> Result<(usize, usize), Misfit> {
        match *layer {
            Layer::Conv { filters, kernel, stride, padding, groups, bias } => {
                if let ([Layer::Relu, pool, ..], true) = (after, *layer == Layer::conv(filters))
                    && *pool == Layer::max_pool()
                    && place.0.len() == 1
                    && self.may_begin_block(x)
                {
                    return Ok((self.block(place, x, filters)?, 3));
                }
                let window = Window { kernel, stride, padding };
                Ok((self.conv(place, x, filters, window, groups, bias)?, 1))
            }
            Layer::Relu | Layer::Gelu | Layer::Silu => {
                let function = activation(std::slice::from_ref(layer));
                let shape = self.values[x];
                self.row(place, name_of(function), String::new(), shape, (0, 0));
                Ok((self.push(Operation::Activation(function), x, None, shape, 0), 1))
            }
            Layer::MaxPool { size, stride, padding } => self.pool(place, x, (size, stride, padding), true),
            Layer::AveragePool { size, stride, padding } => self.pool(place, x, (size, stride, padding), false),
            Layer::GlobalAveragePool => {
                let (_, _, channels) = self.pictures(place, x, "global average pooling")?;
                let shape = Shape::Rows { area: 1, channels };
                self.row(place, "global_average_pool", String::new(), shape, (0, 0));
                Ok((self.push(Operation::GlobalAverage, x, None, shape, 0), 1))
            }
            Layer::Dropout { rate } => {
                let rate = self.rate(place, rate)?;
                Ok((self.dropout(place, x, rate)?, 1))
            }
            Layer::Flatten => Ok((self.flatten(place, x)?, 1)),
            Layer::Dense { units } => {
                let relu = after.first() == Some(&Layer::Relu);
                let y = self.dense(place, x, units, relu, "dense")?;
                Ok((y, 1 + usize::from(relu)))
            }
            Layer::Softmax if place.0.len() > 1 || !after.is_empty() => {
                Err(misfit(place, "softmax must be the very last layer".to_owned()))
            }
            Layer::Softmax => Ok((self.dense(place, x, classes, false, "softmax")?, 1)),
            // Taken up by `walk`.
            Layer::Residual { .. } | Layer::BatchNorm { .. } => Ok((x, 1)),
        }
    }

    /// Height, width and channels of a value that has them.
    fn pictures(&self, place: &Place, x: usize, what: &str) -> Result<(u32, u32, u32), Misfit> {
        match self.values[x] {
            Shape::Pictures { height, width, channels } => Ok((height, width, channels)),
            Shape::Rows { .. } => {
                Err(misfit(place, format!("{what} needs pictures, but they were flattened or averaged before")))
            }
        }
    }

    /// Blocks read a border of zeros, which the batch and what other blocks write can have.
    fn may_begin_block(&self, x: usize) -> bool {
        x == 0 && self.nodes.is_empty()
            || self.nodes.last().is_some_and(|node| node.output == x && node.operation == Operation::Block)
    }

    fn block(&mut self, place: &Place, x: usize, filters: u32) -> Result<usize, Misfit> {
        let (height, width, channels) = self.pictures(place, x, "a convolution")?;
        filters_in_range(place, filters)?;
        let pool = |place: &Place| {
            self.window_of(place, (height, width), Window { kernel: 2, stride: 2, padding: Padding::Valid })
        };
        let (out_height, out_width) = pool(&place.at(place.0.last().map_or(0, |p| p.1) + 2))?;
        let window = Window { kernel: 3, stride: 1, padding: Padding::Same };
        let inner = Shape::Pictures { height, width, channels: filters };
        self.conv_parameters(place, (channels, filters), (window, 1, true), inner);
        let index = place.0.last().map_or(0, |p| p.1);
        let shape = Shape::Pictures { height: out_height, width: out_width, channels: filters };
        self.row(&place.at(index + 1), "relu", String::new(), inner, (0, 0));
        self.row(&place.at(index + 2), "max_pool", "2×2".to_owned(), shape, (0, 0));
        Ok(self.push(Operation::Block, x, None, shape, 2))
    }

    fn conv(
        &mut self,
        place: &Place,
        x: usize,
        filters: u32,
        window: Window,
        groups: u32,
        bias: bool,
    ) -> Result<usize, Misfit> {
        let (height, width, channels) = self.pictures(place, x, "a convolution")?;
        filters_in_range(place, filters)?;
        if window.kernel.is_multiple_of(2) || window.kernel > LARGEST_KERNEL {
            let text = format!("a kernel of {0}×{0}: it must be odd, from 1 to {LARGEST_KERNEL}", window.kernel);
            return Err(misfit(place, text));
        }
        let depthwise = groups > 1 && groups == channels && groups == filters;
        let even = groups > 0 && channels.is_multiple_of(groups) && filters.is_multiple_of(groups);
        let in_quads = || (channels / groups).is_multiple_of(4) && (filters / groups).is_multiple_of(4);
        if groups != 1 && !depthwise && !(even && in_quads()) {
            let text = format!(
                "{groups} groups of {channels} channels in and {filters} out: each group must have a multiple of 4 of both, \
                 or there must be as many groups as there are channels on both sides"
            );
            return Err(misfit(place, text));
        }
        let (out_height, out_width) = self.window_of(place, (height, width), window)?;
        let shape = Shape::Pictures { height: out_height, width: out_width, channels: filters };
        let count = self.conv_parameters(place, (channels, filters), (window, groups, bias), shape);
        Ok(self.push(Operation::Conv { window, groups, bias }, x, None, shape, count))
    }

    /// Adds a convolution's parameters and its line of the table.
    fn conv_parameters(
        &mut self,
        place: &Place,
        (channels, filters): (u32, u32),
        (window, groups, bias): (Window, u32, bool),
        output: Shape,
    ) -> usize {
        self.convolutions += 1;
        let name = format!("conv{}", self.convolutions);
        let kernel = window.kernel;
        let layout = match groups {
            1 => Layout::Convolution { kernel, inputs: channels, outputs: filters },
            _ if groups == channels && groups == filters => Layout::Depthwise { kernel, channels },
            _ => Layout::Convolution { kernel, inputs: channels / groups, outputs: filters },
        };
        let weights = layout.len() as u64;
        self.parameter(format!("{name}.kernel"), layout, Start::Glorot, true);
        if bias {
            self.parameter(format!("{name}.bias"), Layout::Bias { outputs: filters }, Start::Zeros, true);
        }
        let mut description = format!("{kernel}×{kernel}, {filters} filters");
        if window.stride > 1 {
            description += &format!(", stride {}", window.stride);
        }
        if window.padding == Padding::Valid {
            description += ", valid";
        }
        if groups > 1 {
            description += &format!(", {groups} groups");
        }
        let pixels = output.len() / u64::from(filters);
        let parameters = weights + if bias { u64::from(filters) } else { 0 };
        self.row(place, &name, description, output, (parameters, weights * pixels));
        1 + usize::from(bias)
    }

    fn batch_norm(
        &mut self,
        place: &Place,
        x: usize,
        (momentum, epsilon): (f32, f32),
        skip: Option<usize>,
        function: Function,
    ) -> Result<usize, Misfit> {
        let (_, _, channels) = self.pictures(place, x, "batch normalisation")?;
        if !(0.0..1.0).contains(&momentum) {
            return Err(misfit(place, format!("a momentum of {momentum}: it must be at least 0 and below 1")));
        }
        if !(epsilon > 0.0 && epsilon <= 1.0) {
            return Err(misfit(place, format!("an epsilon of {epsilon}: it must be above 0 and at most 1")));
        }
        let shape = self.values[x];
        self.norms += 1;
        let name = format!("norm{}", self.norms);
        let layout = Layout::Bias { outputs: channels };
        for (part, start, learned) in [
            ("scale", Start::Ones, true),
            ("offset", Start::Zeros, true),
            ("mean", Start::Zeros, false),
            ("variance", Start::Ones, false),
        ] {
            self.parameter(format!("{name}.{part}"), layout, start, learned);
        }
        self.row(place, &name, "batch normalisation".to_owned(), shape, (4 * u64::from(channels), 0));
        let y = self.push(Operation::BatchNorm { momentum, epsilon, function }, x, skip, shape, 4);
        if skip.is_none() && function != Function::Identity {
            self.row(place, name_of(function), String::new(), shape, (0, 0));
        }
        Ok(y)
    }

    /// Gives the value, and how many layers of the list were taken.
    fn residual(
        &mut self,
        body: &[Layer],
        shortcut: &[Layer],
        place: &Place,
        x: usize,
        function: Function,
        classes: u32,
    ) -> Result<(usize, usize), Misfit> {
        self.pictures(place, x, "a residual block")?;
        if body.is_empty() {
            return Err(misfit(place, "a residual block without a body".to_owned()));
        }
        let at = self.rows.len();
        self.row(place, "residual", String::new(), self.values[x], (0, 0));
        let body_place = place.inside("body");
        // What ends with batch normalisation is added up there.
        let (inner, last) = match body {
            [inner @ .., Layer::BatchNorm { momentum, epsilon }] => (inner, Some((*momentum, *epsilon))),
            _ => (body, None),
        };
        let inside = self.walk(inner, &body_place, x, classes)?;
        let around = self.walk(shortcut, &place.inside("shortcut"), x, classes)?;
        if self.values[inside] != self.values[around] {
            let (body, shortcut) = (self.values[inside], self.values[around]);
            let text = format!(
                "the body gives {body}, the shortcut {shortcut}: they must be the same to be added up (a 1×1 convolution \
                 with the same stride as a shortcut makes them so)"
            );
            return Err(misfit(place, text));
        }
        self.pictures(place, inside, "the sum of a residual block")?;
        let shape = self.values[inside];
        let y = match last {
            Some(constants) => {
                let place = body_place.at(body.len() - 1);
                self.batch_norm(&place, inside, constants, Some(around), function)?
            }
            None => self.push(Operation::Activation(function), inside, Some(around), shape, 0),
        };
        let parts = [(body.len(), "body"), (shortcut.len(), "shortcut")].map(|(n, list)| match n {
            0 => "the picture itself".to_owned(),
            1 => format!("{list} of 1 layer"),
            n => format!("{list} of {n} layers"),
        });
        self.rows[at].description = format!("{} + {}", parts[0], parts[1]);
        self.rows[at].output = shape;
        if function != Function::Identity {
            self.row(place, name_of(function), String::new(), shape, (0, 0));
        }
        Ok((y, 1 + taken_by(function)))
    }

    fn pool(
        &mut self,
        place: &Place,
        x: usize,
        (size, stride, padding): (u32, Option<u32>, Padding),
        max: bool,
    ) -> Result<(usize, usize), Misfit> {
        let (height, width, channels) = self.pictures(place, x, "pooling")?;
        let window = Window { kernel: size, stride: stride.unwrap_or(size), padding };
        if !(1..=LARGEST_KERNEL).contains(&size) {
            return Err(misfit(place, format!("pooling of {size}×{size}: 1 to {LARGEST_KERNEL} are possible")));
        }
        let (height, width) = self.window_of(place, (height, width), window)?;
        let windows = size * window.kernel.div_ceil(window.stride);
        if windows * windows > MOST_WINDOWS {
            let text = format!("pooling of {size}×{size} with a stride of {}: take a larger stride", window.stride);
            return Err(misfit(place, text));
        }
        let shape = Shape::Pictures { height, width, channels };
        let mut description = format!("{size}×{size}");
        if window.stride != size {
            description += &format!(", stride {}", window.stride);
        }
        if window.padding == Padding::Same {
            description += ", same";
        }
        self.row(place, if max { "max_pool" } else { "average_pool" }, description, shape, (0, 0));
        let operation = if max { Operation::MaxPool(window) } else { Operation::AveragePool(window) };
        Ok((self.push(operation, x, None, shape, 0), 1))
    }

    /// Height and width behind a window that moves over pictures.
    fn window_of(&self, place: &Place, (height, width): (u32, u32), window: Window) -> Result<(u32, u32), Misfit> {
        if !(1..=LARGEST_KERNEL).contains(&window.stride) {
            return Err(misfit(place, format!("a stride of {}: 1 to {LARGEST_KERNEL} are possible", window.stride)));
        }
        if window.padding == Padding::Valid && height.min(width) < window.kernel {
            let text = format!("{0}×{0} does not fit into {height}×{width} pixels; use a larger image", window.kernel);
            return Err(misfit(place, text));
        }
        Ok((window.along(height).0, window.along(width).0))
    }

    fn rate(&self, place: &Place, rate: f32) -> Result<f32, Misfit> {
        match (0.0..1.0).contains(&rate) {
            true => Ok(rate),
            false => Err(misfit(place, format!("a dropout rate of {rate}: it must be at least 0 and below 1"))),
        }
    }

    fn dropout(&mut self, place: &Place, x: usize, rate: f32) -> Result<usize, Misfit> {
        if x == 0 {
            return Err(misfit(place, "dropout of the pictures themselves".to_owned()));
        }
        self.dropouts += 1;
        let shape = self.values[x];
        self.row(place, "dropout", format!("{rate}"), shape, (0, 0));
        Ok(self.push(Operation::Dropout { rate, number: self.dropouts }, x, None, shape, 0))
    }

    fn flatten(&mut self, place: &Place, x: usize) -> Result<usize, Misfit> {
        let (height, width, channels) = self.pictures(place, x, "flattening")?;
        let inputs = self.values[x].len();
        if inputs > MOST_INPUTS {
            let text = format!("{inputs} inputs of a dense layer, where {MOST_INPUTS} is the most");
            return Err(misfit(place, text));
        }
        let shape = Shape::Rows { area: height * width, channels };
        self.row(place, "flatten", String::new(), shape, (0, 0));
        Ok(self.push(Operation::Flatten, x, None, shape, 0))
    }

    fn dense(&mut self, place: &Place, x: usize, units: u32, relu: bool, kind: &str) -> Result<usize, Misfit> {
        let Shape::Rows { area, channels } = self.values[x] else {
            let text = "a dense layer needs rows: put flatten or global_average_pool before it".to_owned();
            return Err(misfit(place, text));
        };
        if !(1..=MOST_UNITS).contains(&units) {
            return Err(misfit(place, format!("{units} units, where 1 to {MOST_UNITS} are possible")));
        }
        self.denses += 1;
        let name = format!("dense{}", self.denses);
        let layout = Layout::Dense { area, channels, outputs: units };
        let weights = layout.len() as u64;
        self.parameter(format!("{name}.kernel"), layout, Start::Glorot, true);
        self.parameter(format!("{name}.bias"), Layout::Bias { outputs: units }, Start::Zeros, true);
        let shape = Shape::Rows { area: 1, channels: units };
        let description = if kind == "softmax" { "softmax over the classes" } else { "" };
        self.row(place, &name, description.to_owned(), shape, (weights + u64::from(units), weights));
        if relu {
            self.row(place, "relu", String::new(), shape, (0, 0));
        }
        Ok(self.push(Operation::Dense { relu }, x, None, shape, 2))
    }
}

fn misfit(place: &Place, reason: String) -> Misfit {
    Misfit { place: Some(place.clone()), reason }
}

fn filters_in_range(place: &Place, filters: u32) -> Result<(), Misfit> {
    match (1..=MOST_UNITS).contains(&filters) {
        true => Ok(()),
        false => Err(misfit(place, format!("{filters} filters, where 1 to {MOST_UNITS} are possible"))),
    }
}

/// The function of the activation at the head of a list, if there is one.
fn activation(layers: &[Layer]) -> Function {
    match layers.first() {
        Some(Layer::Relu) => Function::Relu,
        Some(Layer::Gelu) => Function::Gelu,
        Some(Layer::Silu) => Function::Silu,
        _ => Function::Identity,
    }
}

fn taken_by(function: Function) -> usize {
    usize::from(function != Function::Identity)
}

fn name_of(function: Function) -> &'static str {
    match function {
        Function::Identity => "",
        Function::Relu => "relu",
        Function::Gelu => "gelu",
        Function::Silu => "silu",
    }
}

/// Layers, with those inside residual blocks.
pub(super) fn count(layers: &[Layer], depth: usize) -> Result<usize, String> {
    if depth > MOST_DEPTH {
        return Err(format!("residual blocks inside each other more than {MOST_DEPTH} deep"));
    }
    let mut all = layers.len();
    for layer in layers {
        if let Layer::Residual { body, shortcut } = layer {
            all += count(body, depth + 1)? + count(shortcut, depth + 1)?;
        }
    }
    Ok(all)
}
