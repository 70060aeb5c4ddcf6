//! How the parameters of a network lie on the device: bundled, one behind the other in a few large buffers. What is done alike
//! to all of them, such as the optimiser's step, is then one dispatch, and not one for each.

use std::ops::Range;

use super::slabs::Slab;
use super::{ModelError, Network, Purpose, Shapes};
use crate::gpu::{Buffer, Gpu};
use crate::kernels::optimizer::Parameter;
use crate::kernels::reduce::Reduce;

/// Bytes of a bundle at most, unless a single parameter has more: a memory that is nearly full has room for pieces.
const MOST: u64 = 32 << 20;
/// The same for the partial sums of its gradients.
const MOST_PARTS: u64 = 128 << 20;
/// Where any adapter lets a binding begin.
const ALIGNED: u64 = 256;

/// What is done to the parameters of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// The optimiser takes its step over them once all gradients are there.
    Learned,
    /// It takes its steps [`in slabs`](super::slabs), from gradients that are never there as a whole.
    InSlabs,
    /// Nothing: running statistics.
    Statistics,
}

/// Parameters, and what training keeps beside them, all in the same places of their buffers. Between them are zeros, which
/// every step leaves zeros.
pub(super) struct Bundle {
    pub(super) weights: Buffer,
    pub(super) gradient: Option<Buffer>,
    /// Partial sums of gradients that come so.
    pub(super) parts: Option<Buffer>,
    /// Sum of the gradients of a batch's parts, where batches are worked on in parts.
    pub(super) total: Option<Buffer>,
    pub(super) first: Option<Buffer>,
    pub(super) second: Option<Buffer>,
    /// The weights' moving average, where one is kept.
    pub(super) average: Option<Buffer>,
}

/// Where a parameter lies: in which bundle, its bytes there, and those of the partial sums of its gradient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) bundle: usize,
    bytes: Range<u64>,
    parts: Range<u64>,
}

impl Place {
    /// A parameter's own part of a buffer of its bundle.
    pub(super) fn of(&self, whole: &Buffer) -> Buffer {
        part(whole, &self.bytes)
    }

    /// A parameter's own part of the partial sums.
    pub(super) fn of_parts(&self, whole: &Buffer) -> Option<Buffer> {
        (!self.parts.is_empty()).then(|| part(whole, &self.parts))
    }

    /// How the partial sums become the gradient.
    fn reduce(&self) -> Option<Reduce> {
        if self.parts.is_empty() {
            return None;
        }
        let [bytes, parts] = [&self.bytes, &self.parts].map(|range| range.end - range.start);
        Some(Reduce::of(bytes, (parts / bytes) as u32).at(self.parts.start, self.bytes.start))
    }
}

fn part(whole: &Buffer, bytes: &Range<u64>) -> Buffer {
    whole.part(bytes.start, bytes.end - bytes.start)
}

/// What a parameter needs.
#[derive(Clone, Copy, Debug)]
struct Need {
    kind: Kind,
    decays: bool,
    bytes: u64,
    /// Of the partial sums.
    parts: u64,
}

/// The places of parameters, and what each bundle needs. In a bundle, those that decay come first; and since they are in the
/// order of the layers and all others in the opposite order, what is left to learn when the first layers are frozen lies
/// together in the middle.
fn bundled(needs: &[Need], most: u64, most_parts: u64) -> (Vec<Place>, Vec<Need>) {
    let mut order: Vec<usize> = (0..needs.len()).collect();
    order.sort_by_key(|&index| {
        let Need { kind, decays, .. } = needs[index];
        (kind, if decays { index } else { 2 * needs.len() - index })
    });
    let mut places = vec![Place { bundle: 0, bytes: 0..0, parts: 0..0 }; needs.len()];
    let mut bundles: Vec<Need> = Vec::new();
    for index in order {
        let need = needs[index];
        let behind = |bundle: &Need| {
            let [bytes, parts] = [bundle.bytes, bundle.parts].map(|end| end.next_multiple_of(ALIGNED));
            let fits = bytes + need.bytes <= most && parts + need.parts <= most_parts;
            (bundle.kind == need.kind && fits).then_some((bytes, parts))
        };
        let (bytes, parts) = bundles.last().and_then(behind).unwrap_or_else(|| {
            bundles.push(need);
            (0, 0)
        });
        let (bytes, parts) = (bytes..bytes + need.bytes, parts..parts + need.parts);
        let bundle = bundles.len() - 1;
        (bundles[bundle].bytes, bundles[bundle].parts) = (bytes.end, parts.end);
        places[index] = Place { bundle, bytes, parts };
    }
    (places, bundles)
}

/// What the parameters of a network need, in their order.
fn needs(shapes: &Shapes, in_slabs: bool) -> Vec<Need> {
    let graph = &shapes.graph;
    let of_node = |node: usize| {
        let chunks = u64::from(shapes.chunks(node));
        graph.parameters[graph.nodes[node].parameters.clone()].iter().map(move |parameter| {
            let kind = match Slab::of(parameter.layout) {
                _ if !parameter.learned => Kind::Statistics,
                Some(_) if in_slabs => Kind::InSlabs,
                _ => Kind::Learned,
            };
            let bytes = parameter.layout.device_bytes();
            let parts = if kind == Kind::Learned && chunks > 1 { bytes * chunks } else { 0 };
            Need { kind, decays: parameter.layout.decays(), bytes, parts }
        })
    };
    (0..graph.nodes.len()).flat_map(of_node).collect()
}

impl Bundle {
    /// Lays out the parameters of a network.
    pub(super) fn all(
        gpu: &Gpu,
        shapes: &Shapes,
        purpose: Purpose,
        in_slabs: bool,
    ) -> Result<(Vec<Place>, Vec<Bundle>), ModelError> {
        let rule = if let Purpose::Train(rule, _) = purpose { Some(rule) } else { None };
        let (first, second) = rule.map_or((false, false), |rule| rule.states());
        let most = gpu.max_tensor_bytes();
        let (places, bundles) = bundled(&needs(shapes, in_slabs), most.min(MOST), most.min(MOST_PARTS));
        let bundles = bundles.into_iter().map(|Need { kind, bytes, parts, .. }| {
            let when = |needed: bool, label: &str, bytes: u64| needed.then(|| gpu.buffer(label, bytes)).transpose();
            Ok(Bundle {
                weights: gpu.buffer("weights", bytes)?,
                gradient: when(rule.is_some() && kind == Kind::Learned, "gradients", bytes)?,
                parts: when(rule.is_some() && parts > 0, "partial gradients", parts)?,
                total: None,
                first: when(first && kind != Kind::Statistics, "first moments", bytes)?,
                second: when(second && kind != Kind::Statistics, "second moments", bytes)?,
                average: None,
            })
        });
        Ok((places, bundles.collect::<Result<_, ModelError>>()?))
    }

    /// What the optimiser takes its step over: these parts of all buffers, with this gradient.
    pub(super) fn parameter(&self, gradient: Buffer, of: impl Fn(&Buffer) -> Buffer) -> Parameter {
        let [first, second] = [&self.first, &self.second].map(|state| state.as_ref().map(&of));
        Parameter { weights: of(&self.weights), gradient, first, second }
    }
}

/// What learns of a bundle.
pub(super) struct Learning<'a> {
    pub(super) bundle: &'a Bundle,
    bytes: Range<u64>,
    /// So many bytes, the first, are shrunk by weight decay.
    pub(super) decaying: u64,
    /// How partial sums become gradients.
    pub(super) sums: Vec<Reduce>,
}

impl Learning<'_> {
    /// Its part of a buffer of the bundle.
    pub(super) fn of(&self, whole: &Buffer) -> Buffer {
        part(whole, &self.bytes)
    }
}

impl Network {
    /// What is not frozen of each bundle.
    pub(super) fn learning(&self) -> impl Iterator<Item = Learning<'_>> {
        self.bundles.iter().enumerate().filter_map(|(index, bundle)| {
            let those = || self.learned[self.frozen..].iter().filter(|learned| learned.place.bundle == index);
            let begin = those().map(|learned| learned.place.bytes.start).min()?;
            let end = those().map(|learned| learned.place.bytes.end).max()?;
            let decaying =
                those().filter(|learned| learned.layout.decays()).map(|learned| learned.place.bytes.end).max();
            Some(Learning {
                bundle,
                bytes: begin..end,
                decaying: decaying.map_or(0, |end| end - begin),
                sums: those().filter_map(|learned| learned.place.reduce()).collect(),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A network of kernels, biases and statistics, in the order of its layers.
    fn network() -> Vec<Need> {
        let need = |kind, decays, bytes, parts| Need { kind, decays, bytes, parts };
        let layer = |at: u64| {
            [
                need(Kind::Learned, true, 912 * at, 912 * at * (at % 3)),
                need(Kind::Learned, false, 48 * at, 0),
                need(Kind::Statistics, false, 48 * at, 0),
                need(Kind::InSlabs, true, 1600, 0),
                need(Kind::Learned, false, 16, 0),
            ]
        };
        (1..8).flat_map(layer).collect()
    }

    #[test]
    fn whatever_is_frozen_the_others_lie_together_and_what_decays_comes_first() {
        let needs = network();
        for (most, most_parts) in [(1, 1), (4096, 1 << 30), (1 << 30, 4096), (1 << 30, 1 << 30)] {
            let (places, bundles) = bundled(&needs, most, most_parts);
            for bundle in 0..bundles.len() {
                let mut those: Vec<usize> = (0..needs.len()).filter(|&index| places[index].bundle == bundle).collect();
                those.sort_by_key(|&index| places[index].bytes.start);
                assert!(those.iter().map(|&index| needs[index].decays).is_sorted_by(|a, b| a >= b), "{bundle}");
                for frozen in 0..needs.len() {
                    let together = those.chunk_by(|a, b| (*a >= frozen) == (*b >= frozen));
                    let learning = together.filter(|some| some[0] >= frozen).count();
                    assert!(learning <= 1, "{learning} stretches of {those:?} without the first {frozen}");
                }
            }
        }
    }

    #[test]
    fn places_are_behind_one_another_within_bundles_of_a_kind_and_of_the_size_asked() {
        let needs = network();
        assert_eq!(bundled(&needs, 1 << 30, 1 << 30).1.len(), 3, "one of each kind");
        for (most, most_parts) in [(1, 1), (4096, 1 << 30), (1 << 30, 4096)] {
            let (places, bundles) = bundled(&needs, most, most_parts);
            for (index, bundle) in bundles.iter().enumerate() {
                let those: Vec<_> = needs.iter().zip(&places).filter(|(_, place)| place.bundle == index).collect();
                assert!(those.iter().all(|(need, _)| need.kind == bundle.kind));
                assert!(those.len() == 1 || bundle.bytes <= most && bundle.parts <= most_parts, "{bundle:?}");
                let of = |range: fn(&Place) -> &Range<u64>, end: u64, length: fn(&Need) -> u64| {
                    let mut ranges: Vec<_> = those.iter().map(|(need, place)| (range(place), length(need))).collect();
                    ranges.sort_by_key(|(range, _)| (range.start, range.end));
                    assert!(
                        ranges
                            .iter()
                            .all(|(range, length)| range.start % ALIGNED == 0 && range.end - range.start == *length)
                    );
                    assert!(ranges.windows(2).all(|pair| pair[0].0.end <= pair[1].0.start), "{ranges:?}");
                    assert_eq!(ranges.last().map(|(range, _)| range.end), Some(end));
                };
                of(|place| &place.bytes, bundle.bytes, |need| need.bytes);
                of(|place| &place.parts, bundle.parts, |need| need.parts);
            }
        }
    }
}
