//! `train --from RUN`: a network that begins with the weights of another run's.

use std::path::Path;

use super::Say;
use crate::commands::{CommandError, RunFolder};
use crate::model::{Metadata, NetworkSpec, Tensor, Weights};

/// A network, and the weights that it begins with.
pub(super) struct Beginning {
    pub network: NetworkSpec,
    /// Its name, if the run has kept it.
    pub model: Option<String>,
    pub weights: Weights,
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
        let (weights, of_then) = match from.is_dir() {
            true => RunFolder::open(from)?.weights(false)?,
            false => Weights::load(from)?,
        };
        let side = image_size.unwrap_or(of_then.network.height);
        let network =
            NetworkSpec { height: side, width: side, classes: classes.len() as u32, ..of_then.network.clone() };
        network.check()?;
        let Metadata { classes: known, network: old } = of_then;
        let head = if known == classes { None } else { last_layer(&network) };
        let begin = |new: Tensor| {
            let is_new = head.as_ref().is_some_and(|head| layer_of(&new.name) == head);
            match weights.0.iter().find(|kept| kept.name == new.name).filter(|_| !is_new) {
                None => Ok(new),
                Some(kept) if kept.shape == new.shape => Ok(kept.clone()),
                Some(kept) => Err(CommandError::File {
                    path: from.to_owned(),
                    reason: format!(
                        "its {} has shape {:?} for pictures of {} pixels, and would have to have {:?} for {side}: leave \
                         --image-size away",
                        new.name, kept.shape, old.height, new.shape,
                    ),
                }),
            }
        };
        let begun = Weights::initial(&network, seed).0.into_iter().map(begin).collect::<Result<_, _>>()?;
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
        Ok(Beginning { network, model: settings.map(|settings| settings.recipe.model), weights: Weights(begun) })
    }
}

/// `conv1` of `conv1.kernel`.
fn layer_of(parameter: &str) -> &str {
    parameter.split('.').next().unwrap_or(parameter)
}

fn last_layer(network: &NetworkSpec) -> Option<String> {
    network.parameters().last().map(|parameter| layer_of(&parameter.name).to_owned())
}
