//! Where the way back of a training needs no memory of its own: a gradient lies in the place of the value itself, once
//! nothing asks for that value any more.

use super::Graph;
use super::graph::{Node, Operation, Shape};

impl Graph {
    /// Whether, in training, the gradient of a value may take the value's own memory: its only reader computes the gradient
    /// without looking at the value, or after it has looked, and what made the value does not look at it again.
    pub fn is_replaced(&self, value: usize) -> bool {
        let mut readers = self.nodes.iter().filter(|node| node.input == value || node.skip == Some(value));
        let (Some(reader), None) = (readers.next(), readers.next()) else { return false };
        let lets_go = match reader.operation {
            // The gradients of weights, which look at the input, come before that of the input.
            Operation::Block | Operation::Conv { .. } | Operation::Dense { .. } => true,
            Operation::Flatten | Operation::Dropout { .. } => true,
            Operation::AveragePool(_) | Operation::GlobalAverage => true,
            Operation::MaxPool(_) | Operation::Activation(_) | Operation::BatchNorm { .. } => false,
        };
        lets_go && reader.skip != Some(value) && self.maker(value).is_some_and(|maker| self.is_forgotten_by(maker))
    }

    fn maker(&self, value: usize) -> Option<&Node> {
        self.nodes.iter().find(|node| node.output == value)
    }

    fn is_forgotten_by(&self, maker: &Node) -> bool {
        match maker.operation {
            // The gradient of its ReLU looks at it.
            Operation::Dense { .. } => false,
            // It may lie in the memory of its input.
            Operation::Flatten => self.is_replaced(maker.input),
            Operation::Dropout { .. } => match self.values[maker.output] {
                Shape::Pictures { .. } => true,
                Shape::Rows { .. } => self.is_replaced(maker.input),
            },
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::NetworkSpec;

    #[test]
    fn gradients_of_the_reference_replace_all_values_but_the_batch_and_what_a_relu_looks_at() {
        let graph = Graph::new(&NetworkSpec::reference(16, 16, 3)).expect("a network");
        let replaced: Vec<bool> = (0..graph.values.len()).map(|value| graph.is_replaced(value)).collect();
        // The batch, three blocks, dropout, flattening, a dense layer, dropout, and the logits.
        assert_eq!(replaced, [false, true, true, true, true, true, false, false, false]);
    }

    #[test]
    fn a_value_that_two_read_keeps_its_memory() {
        let graph = Graph::new(&NetworkSpec::builtin("resnet-small", 16, 16, 3).expect("built in")).expect("a network");
        for value in 0..graph.values.len() {
            let readers = graph.nodes.iter().filter(|node| node.input == value || node.skip == Some(value)).count();
            assert!(readers == 1 || !graph.is_replaced(value), "value {value}");
        }
    }
}
