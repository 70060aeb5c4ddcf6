//! How strongly pictures are changed while a network learns: what a recipe says under `[augmentation]`.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How pictures are changed while a network learns. Everything that is left out is off.
///
/// The order is that of the members: flips, a cut-out, a turn and a shift make one affine map, so that a picture is
/// interpolated once; colours, then erasing; of two pictures changed so, one is made.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AugmentationSettings {
    /// Probability of a horizontal flip.
    pub flip: f64,
    /// Probability of a vertical flip.
    pub vertical_flip: f64,
    /// A part of the picture, stretched to the whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crop: Option<Crop>,
    /// The largest turn either way, in shares of a whole one.
    pub rotation: f64,
    /// The largest shift either way, in shares of each side.
    pub translation: f64,
    /// The most that is added to all channels, or taken away, where they span 0 to 1 (Keras's `RandomBrightness`).
    pub brightness: f64,
    /// The most by which the distance from middle grey, 0.5, grows or shrinks.
    pub contrast: f64,
    /// The most by which the distance from the grey of equal luminance grows or shrinks.
    pub saturation: f64,
    /// The largest turn of the hue either way, in shares of the circle.
    pub hue: f64,
    /// A rectangle filled with noise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erase: Option<Erase>,
    /// α of mixup, whose weights are Beta(α, α) (Zhang et al. 2018); 0 is off.
    pub mixup: f64,
    /// α of CutMix, the share of whose pasted part is Beta(α, α) (Yun et al. 2019); 0 is off. With mixup too, either has
    /// an even chance for every picture.
    pub cutmix: f64,
    /// The share of the pictures that are mixed, if any are.
    pub mix_probability: f64,
}

/// A random part of the picture, stretched to the whole (Szegedy et al., "Going Deeper with Convolutions", CVPR 2015,
/// section 6): its area is uniform, the logarithm of its aspect too, as far as such a part fits in.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crop {
    /// The smallest share of the picture's area; the largest is 1.
    pub area: f64,
    /// How much wider than high it may be, or higher than wide: 1.33 allows 3:4 to 4:3 of the picture's own aspect.
    #[serde(default = "four_to_three")]
    pub aspect: f64,
}

/// Random erasing (Zhong et al., "Random Erasing Data Augmentation", AAAI 2020).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Erase {
    /// The share of the pictures that lose a part.
    pub probability: f64,
    /// The smallest and the largest share of the area.
    #[serde(default = "a_third_at_most")]
    pub area: [f64; 2],
}

fn four_to_three() -> f64 {
    4.0 / 3.0
}

fn a_third_at_most() -> [f64; 2] {
    [0.02, 0.33]
}

/// A value that makes no sense.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("augmentation: {name} = {value}: it must be {expected}")]
pub struct AugmentationError {
    /// The member.
    pub name: &'static str,
    /// What it was.
    pub value: f64,
    /// What it must be.
    pub expected: &'static str,
}

impl Default for AugmentationSettings {
    /// Pictures stay as they are.
    fn default() -> AugmentationSettings {
        AugmentationSettings {
            flip: 0.0,
            vertical_flip: 0.0,
            crop: None,
            rotation: 0.0,
            translation: 0.0,
            brightness: 0.0,
            contrast: 0.0,
            saturation: 0.0,
            hue: 0.0,
            erase: None,
            mixup: 0.0,
            cutmix: 0.0,
            mix_probability: 1.0,
        }
    }
}

impl AugmentationSettings {
    /// The reference recipe's: Keras's `RandomFlip("horizontal")` and `RandomRotation(0.1)`.
    pub fn reference() -> AugmentationSettings {
        AugmentationSettings { flip: 0.5, rotation: 0.1, ..AugmentationSettings::default() }
    }

    /// Whether a row of a batch may be made of two pictures.
    pub fn mixes(&self) -> bool {
        self.mix_probability > 0.0 && (self.mixup > 0.0 || self.cutmix > 0.0)
    }

    /// The most pictures that a row of a batch is made of.
    pub fn pictures_in_a_row(&self) -> usize {
        1 + usize::from(self.mixes())
    }

    /// Whether pictures are more than moved about, which takes the device longer.
    pub fn varies(&self) -> bool {
        let colors = [self.brightness, self.contrast, self.saturation, self.hue];
        self.mixes() || self.erase.is_some() || colors.iter().any(|most| *most > 0.0)
    }

    /// Holds every value against what makes sense.
    ///
    /// # Errors
    /// [`AugmentationError`] with the first that does not.
    pub fn check(&self) -> Result<(), AugmentationError> {
        let share = "between 0 and 1";
        let half = "between 0 and 0.5";
        let (crop, erase) = (self.crop, self.erase);
        let alpha = |value: f64| value == 0.0 || (0.01..=100.0).contains(&value);
        let alphas = "0, or between 0.01 and 100";
        let within = |value: f64, most: f64| (0.0..=most).contains(&value);
        let [least, most] = erase.map_or_else(a_third_at_most, |erase| erase.area);
        let (area, aspect) = crop.map_or((1.0, 1.0), |crop| (crop.area, crop.aspect));
        let probability = erase.map_or(0.0, |erase| erase.probability);
        let rules = [
            ("flip", self.flip, within(self.flip, 1.0), share),
            ("vertical_flip", self.vertical_flip, within(self.vertical_flip, 1.0), share),
            ("crop.area", area, area > 0.0 && within(area, 1.0), "above 0, and at most 1"),
            ("crop.aspect", aspect, (1.0..=10.0).contains(&aspect), "between 1 and 10"),
            ("rotation", self.rotation, within(self.rotation, 0.5), half),
            ("translation", self.translation, within(self.translation, 1.0), share),
            ("brightness", self.brightness, within(self.brightness, 1.0), share),
            ("contrast", self.contrast, within(self.contrast, 1.0), share),
            ("saturation", self.saturation, within(self.saturation, 1.0), share),
            ("hue", self.hue, within(self.hue, 0.5), half),
            ("erase.probability", probability, within(probability, 1.0), share),
            ("erase.area[0]", least, within(least, 1.0), share),
            ("erase.area[1]", most, least <= most && within(most, 1.0), "at least the first, and at most 1"),
            ("mixup", self.mixup, alpha(self.mixup), alphas),
            ("cutmix", self.cutmix, alpha(self.cutmix), alphas),
            ("mix_probability", self.mix_probability, within(self.mix_probability, 1.0), share),
        ];
        match rules.into_iter().find(|(_, _, holds, _)| !holds) {
            Some((name, value, _, expected)) => Err(AugmentationError { name, value, expected }),
            None => Ok(()),
        }
    }
}

impl fmt::Display for AugmentationSettings {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let colors = [self.brightness, self.contrast, self.saturation, self.hue];
        let parts = [
            ("flips", self.flip > 0.0 || self.vertical_flip > 0.0),
            ("cut-outs", self.crop.is_some()),
            ("turns", self.rotation > 0.0),
            ("shifts", self.translation > 0.0),
            ("colours", colors.iter().any(|most| *most > 0.0)),
            ("erased parts", self.erase.is_some()),
            ("mixup", self.mixes() && self.mixup > 0.0),
            ("CutMix", self.mixes() && self.cutmix > 0.0),
        ];
        let names: Vec<&str> = parts.into_iter().filter(|(_, is_on)| *is_on).map(|(name, _)| name).collect();
        f.write_str(&if names.is_empty() { "none".to_owned() } else { names.join(", ") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_off_and_what_makes_no_sense_is_named() {
        let read = |text: &str| toml::from_str::<AugmentationSettings>(text);
        assert_eq!(read(""), Ok(AugmentationSettings::default()));
        assert_eq!(read("flip = 0.5\nrotation = 0.1"), Ok(AugmentationSettings::reference()));
        assert!(read("flop = 0.5").is_err_and(|e| e.message().contains("flop")));
        let strong = read("crop = { area = 0.3 }\nerase = { probability = 0.25 }\ncutmix = 1.0").expect("settings");
        assert_eq!((strong.check(), strong.mixes(), strong.varies()), (Ok(()), true, true));
        assert_eq!(toml::from_str(&toml::to_string(&strong).expect("TOML")), Ok(strong));
        for (text, name) in [
            ("flip = 1.5", "flip = 1.5"),
            ("hue = -0.1", "hue = -0.1"),
            ("rotation = nan", "rotation = NaN"),
            ("crop = { area = 0.0 }", "crop.area = 0"),
            ("crop = { area = 0.5, aspect = 0.5 }", "crop.aspect = 0.5"),
            ("erase = { probability = 0.5, area = [0.4, 0.2] }", "erase.area[1] = 0.2"),
            ("mixup = 0.001", "mixup = 0.001"),
            ("mix_probability = 2.0", "mix_probability = 2"),
        ] {
            let error = read(text).expect("it can be read").check().expect_err(text);
            assert!(error.to_string().contains(name), "{text}: {error}");
        }
        assert_eq!(AugmentationSettings::reference().check(), Ok(()));
        assert!(!AugmentationSettings::reference().varies());
        assert_eq!(AugmentationSettings::reference().to_string(), "flips, turns");
        assert_eq!(AugmentationSettings::default().to_string(), "none");
    }
}
