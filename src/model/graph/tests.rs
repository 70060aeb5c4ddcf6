use super::*;
use crate::kernels::activation::Function;
use crate::model::{Padding, Start};

fn network(layers: Vec<Layer>) -> NetworkSpec {
    NetworkSpec { height: 11, width: 8, classes: 3, layers }
}

/// The graph of `layers` with a way to the classes behind them.
fn graph(mut layers: Vec<Layer>) -> Graph {
    layers.extend([Layer::GlobalAveragePool, Layer::Softmax]);
    Graph::new(&network(layers)).expect("a network")
}

fn refused(layers: Vec<Layer>) -> (String, String) {
    let Misfit { place, reason } = Graph::new(&network(layers)).expect_err("no network");
    (place.map(|place| place.to_string()).unwrap_or_default(), reason)
}

fn conv(filters: u32, kernel: u32, stride: u32, padding: Padding) -> Layer {
    Layer::Conv { filters, kernel, stride, padding, groups: 1, bias: false }
}

fn pictures(height: u32, width: u32, channels: u32) -> Shape {
    Shape::Pictures { height, width, channels }
}

const NORM: Layer = Layer::BatchNorm { momentum: 0.9, epsilon: 1e-5 };

/// As Keras's `compute_output_shape` has it.
#[test]
fn windows_give_the_pixels_that_keras_says() {
    let (same, valid) = (Padding::Same, Padding::Valid);
    let pool = |size, stride, padding| Layer::MaxPool { size, stride, padding };
    let average = |size, stride, padding| Layer::AveragePool { size, stride, padding };
    for (layer, height, width, channels) in [
        (conv(5, 3, 1, same), 11, 8, 5),
        (conv(5, 3, 2, same), 6, 4, 5),
        (conv(6, 5, 1, valid), 7, 4, 6),
        (conv(6, 5, 2, valid), 4, 2, 6),
        (conv(7, 1, 3, same), 4, 3, 7),
        (pool(2, None, valid), 5, 4, 3),
        (pool(2, None, same), 6, 4, 3),
        (pool(3, Some(2), valid), 5, 3, 3),
        (pool(3, Some(2), same), 6, 4, 3),
        (average(2, None, valid), 5, 4, 3),
        (average(3, Some(1), valid), 9, 6, 3),
        (Layer::Silu, 11, 8, 3),
        (NORM, 11, 8, 3),
    ] {
        let graph = graph(vec![layer.clone()]);
        assert_eq!(graph.values[1], pictures(height, width, channels), "{layer:?}");
        assert_eq!(graph.rows[0].output, graph.values[1], "{layer:?}");
    }
    let rows = graph(vec![conv(4, 3, 1, same)]).values;
    assert_eq!(rows[2..], [Shape::Rows { area: 1, channels: 4 }, Shape::Rows { area: 1, channels: 3 }]);
    let layers = vec![conv(4, 3, 1, same), Layer::Flatten, Layer::Dense { units: 9 }, Layer::Softmax];
    let graph = Graph::new(&network(layers)).expect("a network");
    assert_eq!(graph.values[2..4], [Shape::Rows { area: 88, channels: 4 }, Shape::Rows { area: 1, channels: 9 }]);
    assert_eq!(graph.rows[1].output.len(), 352);
}

#[test]
fn parameters_and_multiply_adds_are_those_of_the_formula() {
    let spec = NetworkSpec::reference(64, 64, 3);
    let graph = Graph::new(&spec).expect("a network");
    let sum = |number: fn(&Row) -> u64| graph.rows.iter().map(number).sum::<u64>();
    // Keras's summary() of the same network.
    assert_eq!(sum(|row| row.parameters), 2_191_427);
    let convolutions = 9 * (64 * 64 * 3 * 32 + 32 * 32 * 32 * 64 + 16 * 16 * 64 * 128);
    assert_eq!(sum(|row| row.multiply_adds), convolutions + 8192 * 256 + 256 * 3);
    assert_eq!(graph.parameters.iter().map(|p| p.layout.len() as u64).sum::<u64>(), 2_191_427);
    let depthwise = Layer::Conv { filters: 8, kernel: 3, stride: 1, padding: Padding::Same, groups: 8, bias: true };
    let graph = self::graph(vec![conv(8, 1, 1, Padding::Same), depthwise, NORM]);
    let costs: Vec<_> = graph.rows.iter().map(|row| (row.parameters, row.multiply_adds)).collect();
    assert_eq!(costs[..3], [(24, 24 * 88), (72 + 8, 72 * 88), (4 * 8, 0)]);
    let starts: Vec<_> = graph.parameters.iter().map(|p| (p.name.as_str(), p.start, p.learned)).collect();
    assert_eq!(
        starts[3..7].iter().map(|(name, ..)| *name).collect::<Vec<_>>(),
        ["norm1.scale", "norm1.offset", "norm1.mean", "norm1.variance"]
    );
    assert_eq!(
        starts[3..7].iter().map(|(_, start, learned)| (*start, *learned)).collect::<Vec<_>>(),
        [(Start::Ones, true), (Start::Zeros, true), (Start::Zeros, false), (Start::Ones, false)]
    );
}

#[test]
fn layers_that_one_kernel_does_become_one_operation() {
    let kinds = |graph: &Graph| graph.nodes.iter().map(|node| node.operation).collect::<Vec<_>>();
    let reference = Graph::new(&NetworkSpec::reference(16, 16, 3)).expect("a network");
    assert_eq!(
        kinds(&reference),
        [
            Operation::Block,
            Operation::Block,
            Operation::Block,
            Operation::Flatten,
            Operation::Dropout { rate: 0.4, number: 1 },
            Operation::Dense { relu: true },
            Operation::Dropout { rate: 0.2, number: 2 },
            Operation::Dense { relu: false },
        ]
    );
    assert_eq!(reference.rows.len(), NetworkSpec::reference(16, 16, 3).layers.len(), "each layer has its line");
    assert!(reference.begins_with_block());
    // A block reads a border that no other layer writes.
    let later = graph(vec![NORM, Layer::conv(4), Layer::Relu, Layer::max_pool()]);
    assert!(!later.begins_with_block() && !kinds(&later).contains(&Operation::Block), "{:?}", later.nodes);
    let wider = graph(vec![conv(4, 5, 1, Padding::Same), Layer::Relu, Layer::max_pool()]);
    assert!(!kinds(&wider).contains(&Operation::Block));
}

#[test]
fn a_residual_sum_is_done_where_its_body_ends_with_batch_normalisation() {
    let body = vec![conv(4, 3, 2, Padding::Same), NORM];
    let shortcut = vec![conv(4, 1, 2, Padding::Same)];
    let fused = graph(vec![Layer::Residual { body: body.clone(), shortcut: shortcut.clone() }, Layer::Silu]);
    // Body, shortcut, then normalisation with the shortcut's value and the activation.
    let Operation::BatchNorm { function: Function::Silu, .. } = fused.nodes[2].operation else {
        panic!("{:?}", fused.nodes[2])
    };
    assert_eq!((fused.nodes[2].input, fused.nodes[2].skip), (fused.nodes[0].output, Some(fused.nodes[1].output)));
    assert_eq!(fused.nodes.len(), 5);
    let lines: Vec<_> = fused.rows.iter().map(|row| (row.depth, row.name.as_str())).collect();
    assert_eq!(lines[..5], [(0, "residual"), (1, "conv1"), (1, "conv2"), (1, "norm1"), (0, "silu")]);
    // The picture itself as the other term, and no normalisation.
    let plain =
        graph(vec![conv(4, 3, 1, Padding::Same), Layer::Residual { body: vec![Layer::conv(4)], shortcut: vec![] }]);
    assert_eq!(plain.nodes[2].operation, Operation::Activation(Function::Identity));
    assert_eq!((plain.nodes[2].input, plain.nodes[2].skip), (plain.nodes[1].output, Some(plain.nodes[0].output)));
}

#[test]
fn what_makes_no_network_is_refused_with_its_place() {
    let end = [Layer::Flatten, Layer::Softmax];
    let with = |layers: &[Layer]| refused([layers, &end].concat());
    let residual = |body: Vec<Layer>, shortcut: Vec<Layer>| Layer::Residual { body, shortcut };
    for (layers, place, reason) in [
        (vec![Layer::conv(4), conv(4, 2, 1, Padding::Same)], "layer 2", "must be odd"),
        (vec![conv(4, 33, 1, Padding::Same)], "layer 1", "1 to 31"),
        (vec![conv(4, 9, 1, Padding::Valid)], "layer 1", "9×9 does not fit into 11×8 pixels"),
        (vec![conv(4, 3, 0, Padding::Same)], "layer 1", "a stride of 0"),
        (vec![Layer::conv(0)], "layer 1", "0 filters"),
        (vec![Layer::conv(4), Layer::Dense { units: 3 }], "layer 2", "put flatten or global_average_pool before it"),
        (vec![Layer::Flatten], "layer 2", "flattened or averaged before"),
        (vec![Layer::Dropout { rate: 0.5 }, Layer::conv(4)], "layer 1", "the pictures themselves"),
        (vec![Layer::conv(4), Layer::Dropout { rate: 1.0 }], "layer 2", "below 1"),
        (vec![Layer::conv(4), Layer::Dropout { rate: f32::NAN }], "layer 2", "below 1"),
        (vec![Layer::BatchNorm { momentum: 0.9, epsilon: 0.0 }], "layer 1", "epsilon"),
        (vec![Layer::Softmax], "layer 1", "the very last"),
        (vec![residual(vec![], vec![])], "layer 1", "without a body"),
        (vec![residual(vec![Layer::conv(4)], vec![])], "layer 1", "11 × 8 × 4, the shortcut 11 × 8 × 3"),
        (
            vec![Layer::conv(4), residual(vec![NORM, residual(vec![Layer::conv(4), Layer::conv(0)], vec![])], vec![])],
            "layer 2, body layer 2, body layer 2",
            "0 filters",
        ),
        (
            vec![residual(vec![NORM], vec![Layer::Relu, conv(3, 4, 1, Padding::Same)])],
            "layer 1, shortcut layer 2",
            "must be odd",
        ),
        (
            vec![Layer::Conv { filters: 6, kernel: 3, stride: 1, padding: Padding::Same, groups: 2, bias: true }],
            "layer 1",
            "2 groups of 3 channels in and 6 out",
        ),
    ] {
        let (found, why) = with(&layers);
        assert!(found == place && why.contains(reason), "{layers:?}: {found}: {why}");
    }
    let (place, reason) = refused(vec![Layer::conv(4), Layer::Flatten]);
    assert!(place.is_empty() && reason.contains("the last layer must be softmax"), "{place} {reason}");
    assert!(refused(vec![Layer::Relu; 501]).1.contains("501 layers, where 500 is the most"));
    let deep = (0..10).fold(Layer::Relu, |inner, _| residual(vec![inner], vec![]));
    assert!(with(&[deep]).1.contains("8 deep"));
}
