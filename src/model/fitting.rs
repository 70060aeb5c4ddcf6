//! Laying a network out for training within what the adapter binds and its memory holds.

use super::shapes::fitting_batch;
use super::{Initial, ModelError, Network, NetworkSpec, Purpose, Shapes};
use crate::gpu::{Gpu, GpuError, Plan};

/// Pictures of a batch that the device works on at once; the gradients of the parts are added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// So many.
    Exactly(u32),
    /// As many as fit, up to so many.
    Fitting(u32),
}

/// Lays `spec` out for training with batches of `batch`, with the initial weights of `seed`; [`Network::batch`] then says how
/// many pictures a part has.
///
/// # Errors
/// [`ModelError::DoesNotFit`], [`ModelError::NoRoom`] with what would fit; as [`Network::new`].
pub fn network_for_training(
    gpu: &Gpu,
    spec: &NetworkSpec,
    batch: u32,
    part: Part,
    purpose: Purpose,
    seed: u64,
) -> Result<Network, ModelError> {
    let weights = Initial::new(spec, seed);
    let whole = |batch: u32| Network::stepping_in_slabs(gpu, spec, batch, purpose, &weights);
    let lay = |part: u32| match part < batch {
        true => Network::new(gpu, spec, part, purpose, &weights)?.accumulating(),
        false => whole(part),
    };
    let found = match part {
        Part::Exactly(part) => lay(part),
        Part::Fitting(most) => {
            let bound = fitting_batch(gpu, spec, most, true).unwrap_or(most);
            largest(gpu, even(batch, bound), lay).map(|(_, network)| network)
        }
    };
    found.map_err(|error| match error {
        ModelError::DoesNotFit { tensor, bytes, limit, adapter, advice }
            if fitting_batch(gpu, spec, batch, true).is_some() =>
        {
            let advice = advice + "; --fit keeps the batch and works on it in parts";
            ModelError::DoesNotFit { tensor, bytes, limit, adapter, advice }
        }
        ModelError::Gpu(GpuError::OutOfMemory { label, adapter, .. }) => {
            let part = if let Part::Exactly(part) = part { part } else { 1 };
            let advice = match largest(gpu, part / 2, whole) {
                Ok((fits, _)) if part > 1 => {
                    format!(
                        "--batch-size {fits} fits; --fit keeps the batch and works on it in parts; or free its memory"
                    )
                }
                _ => "not even a single picture fits: use a smaller --image-size, or free its memory".to_owned(),
            };
            let bytes = training_bytes(gpu, spec, part, purpose);
            ModelError::NoRoom { adapter, batch: part, bytes, tensor: label, advice }
        }
        other => other,
    })
}

/// Tries ever smaller parts, until one can be laid out.
fn largest<T>(gpu: &Gpu, most: u32, lay: impl Fn(u32) -> Result<T, ModelError>) -> Result<(u32, T), ModelError> {
    let mut part = most.max(1);
    loop {
        match lay(part) {
            Ok(laid) => return Ok((part, laid)),
            Err(ModelError::Gpu(GpuError::OutOfMemory { .. })) if part > 1 => {
                // What the last try has allocated goes back once nothing is under way.
                Plan::new().submit(gpu, &mut [])?;
                gpu.wait()?;
                part = part.div_ceil(2);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Parts of `batch` that hold at most `most` and are about as large as each other.
fn even(batch: u32, most: u32) -> u32 {
    batch.div_ceil(batch.div_ceil(most.max(1)))
}

/// About what a training takes of the device's memory, without its pictures.
fn training_bytes(gpu: &Gpu, spec: &NetworkSpec, part: u32, purpose: Purpose) -> u64 {
    let Ok(shapes) = Shapes::new(spec, part) else { return 0 };
    let states = if let Purpose::Train(rule, _) = purpose { rule.states() } else { (false, false) };
    shapes.for_gpu(gpu).training_bytes(u64::from(states.0) + u64::from(states.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_even_and_never_larger_than_what_fits() {
        assert_eq!((even(32, 31), even(32, 32), even(32, 100), even(7, 3), even(5, 1)), (16, 32, 32, 3, 1));
    }
}
