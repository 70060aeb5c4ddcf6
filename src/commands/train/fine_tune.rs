//! `train --from RUN`: a network that begins with the weights of another run's.

use std::path::Path;

use super::Say;
use crate::commands::{CommandError, RunFolder};
use crate::model::{Initial, Metadata, ModelError, ModelFile, NetworkSpec, Numbers, ParameterSpec, Piece};

/// A network, and the weights that it begins with.
pub(super) struct Beginning {
    pub network: NetworkSpec,
    /// Its name, if the run has kept it.
    pub model: Option<String>,
    pub weights: Begun,
}

/// Another network's weights, and new ones for the layer that it lacks.
pub(super) struct Begun {
    kept: ModelFile,
    new: Initial,
    /// The layer that is new.
    head: Option<String>,
}

impl Begun {
    fn is_kept(&self, parameter: &str) -> bool {
        let is_new = self.head.as_deref() == Some(layer_of(parameter));
        !is_new && self.kept.shape(parameter).is_some()
    }
}

impl Numbers for Begun {
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        if self.is_kept(name) { self.kept.shape(name) } else { self.new.shape(name) }
    }

    fn piece(&self, parameter: &ParameterSpec, piece: &Piece) -> Result<Vec<f32>, ModelError> {
        let numbers: &dyn Numbers = if self.is_kept(&parameter.name) { &self.kept } else { &self.new };
        numbers.piece(parameter, piece)
    }
}

impl Beginning {
    /// Reads `from`, a run's folder or a file of weights, for pictures of `image_size` pixels (as the network had them, if
    /// none is given). The last layer is drawn anew from `seed` if the classes are not those of then.
    ///
    /// # Errors
    /// [`CommandError::File`] if weights do not fit pictures of that size; [`CommandError::Model`].
    pub fn read(
        from: &Path,
        image_size: Option<u32>,
        classes: &[String],
        seed: u64,
        say: &Say,
    ) -> Result<Beginning, CommandError> {
        let kept = match from.is_dir() {
            true => RunFolder::open(from)?.weights(false)?,
            false => ModelFile::open(from)?,
        };
        let Metadata { classes: known, network: old } = kept.metadata.clone();
        let side = image_size.unwrap_or(old.height);
        let network = NetworkSpec { height: side, width: side, classes: classes.len() as u32, ..old.clone() };
        network.check()?;
        let head = if known == classes { None } else { last_layer(&network) };
        let weights = Begun { kept, new: Initial::new(&network, seed), head: head.clone() };
        for parameter in network.parameters() {
            let (expected, found) = (parameter.layout.shape(), weights.shape(&parameter.name));
            if let Some(found) = found.filter(|found| *found != expected) {
                return Err(CommandError::File {
                    path: from.to_owned(),
                    reason: format!(
                        "its {} has shape {found:?} for pictures of {} pixels, and would have to have {expected:?} for \
                         {side}: leave --image-size away",
                        parameter.name, old.height,
                    ),
                });
            }
        }
        let but = match head {
            None => String::new(),
            Some(head) => format!(
                ", but for the last layer ({head}), which is new: the classes were {}, and now are {}",
                known.join(", "),
                classes.join(", ")
            ),
        };
        say.line(format_args!("weights  of {}{but}", from.display()));
        let folder = if from.is_dir() { Some(from) } else { from.parent() };
        let settings = folder.and_then(|folder| RunFolder::open_unfinished(folder).ok()?.settings().ok());
        Ok(Beginning { network, model: settings.map(|settings| settings.recipe.model), weights })
    }
}

/// `conv1` of `conv1.kernel`.
fn layer_of(parameter: &str) -> &str {
    parameter.split('.').next().unwrap_or(parameter)
}

fn last_layer(network: &NetworkSpec) -> Option<String> {
    network.parameters().last().map(|parameter| layer_of(&parameter.name).to_owned())
}
