//! Layers that keep their weights while the others learn.

use super::passes::Mode;
use super::{ModelError, Network, NetworkSpec};

impl NetworkSpec {
    /// How many parameters the first `layers` layers that have any hold. A layer begins with its kernel; its bias belongs to
    /// it, and so does the normalisation behind it.
    ///
    /// # Errors
    /// [`ModelError::Spec`] if no layer would be left to learn.
    pub fn parameters_of_first(&self, layers: usize) -> Result<usize, ModelError> {
        let parameters = self.parameters();
        let begins = parameters.iter().enumerate().filter(|(_, parameter)| parameter.name.ends_with(".kernel"));
        let begins: Vec<usize> = begins.map(|(index, _)| index).collect();
        // What stands before the first kernel belongs to it.
        if layers == 0 {
            return Ok(0);
        }
        begins.get(layers).copied().ok_or_else(|| {
            let most = begins.len().saturating_sub(1);
            ModelError::Spec(format!(
                "with {layers} frozen layers nothing is left to learn; it has {most} before its last"
            ))
        })
    }
}

impl Network {
    /// Lets the first `layers` layers with parameters keep their weights in the plans that are laid from now on: they take no
    /// step, and what is needed for their gradients alone is not computed.
    ///
    /// # Errors
    /// [`ModelError::Spec`] if no layer would be left to learn.
    pub fn freeze(&mut self, layers: usize) -> Result<(), ModelError> {
        self.frozen = self.spec.parameters_of_first(layers)?;
        Ok(())
    }

    /// The name of the last layer that keeps its weights, if any does.
    pub fn last_frozen(&self) -> Option<String> {
        let parameters = self.spec.parameters();
        let last = parameters[..self.frozen].last()?;
        last.name.rsplit_once('.').map(|(layer, _)| layer.to_owned())
    }

    /// Whether the parameters of a node keep their values. Batch normalisation then keeps its running statistics too, and
    /// normalises with them.
    pub(super) fn is_frozen(&self, node: usize) -> bool {
        let parameters = &self.shapes.graph.nodes[node].parameters;
        !parameters.is_empty() && parameters.start < self.frozen
    }

    /// The first node whose own gradients are wanted; parameters are in the order of the nodes.
    pub(super) fn first_to_learn(&self, mode: Mode) -> usize {
        let learns = |node: &usize| !self.shapes.graph.nodes[*node].parameters.is_empty() && !self.is_frozen(*node);
        match mode {
            Mode::Training => (0..self.shapes.graph.nodes.len()).find(learns).unwrap_or(0),
            Mode::Inference => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_has_its_kernel_and_what_follows_and_the_last_cannot_be_frozen() {
        let spec = NetworkSpec::reference(16, 16, 3);
        assert_eq!([0, 1, 3, 4].map(|layers| spec.parameters_of_first(layers).expect("some are left")), [0, 2, 6, 8]);
        assert!(spec.parameters_of_first(5).is_err_and(|e| e.to_string().contains("it has 4 before its last")));
    }
}
