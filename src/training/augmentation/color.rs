//! Brightness, contrast, saturation and hue as one linear map of red, green and blue.

use std::f64::consts::TAU;

/// Shares of the channels in the luminance, and the scales of B − Y and R − Y in U and V (ITU-R BT.601; PAL's YUV).
const LUMINANCE: [f64; 3] = [0.299, 0.587, 0.114];
const U: f64 = 0.492;
const V: f64 = 0.877;

/// How a picture's colours change; [`Color::default`] leaves them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Color {
    /// Added to all channels.
    pub brightness: f64,
    /// Factor of the distance from middle grey.
    pub contrast: f64,
    /// Factor of the distance from the grey of equal luminance.
    pub saturation: f64,
    /// Turn of the hue, in shares of the circle.
    pub hue: f64,
}

impl Default for Color {
    fn default() -> Color {
        Color { brightness: 0.0, contrast: 1.0, saturation: 1.0, hue: 0.0 }
    }
}

impl Color {
    /// The map, as the device takes it: `[3, 4]`, shares of red, green and blue and what is added.
    ///
    /// In this order: brightness, x + b; contrast about middle grey, c·(x − 0.5) + 0.5; saturation and hue, which scale and
    /// turn the plane of (U, V) and leave the luminance Y, and greys, as they are. The hue so turned is linear in the
    /// channels, as P. Haeberli ("Matrix Operations for Image Processing", 1993) proposed; it is not the hue of HSV.
    pub fn matrix(&self) -> [f32; 12] {
        let (sin, cos) = (self.hue * TAU).sin_cos();
        let [red, green, blue] = LUMINANCE;
        let mut matrix = [0.0; 12];
        for source in 0..3 {
            // What a unit of this channel becomes: luminance and chrominance apart, turned, and put together again.
            let unit = |channel: usize| f64::from(u8::from(channel == source));
            let y = LUMINANCE[source];
            let (u, v) = (U * (unit(2) - y), V * (unit(0) - y));
            let turned_u = self.saturation * (cos * u - sin * v);
            let turned_v = self.saturation * (sin * u + cos * v);
            let (r, b) = (y + turned_v / V, y + turned_u / U);
            let g = (y - red * r - blue * b) / green;
            for (channel, value) in [r, g, b].into_iter().enumerate() {
                matrix[4 * channel + source] = (self.contrast * value) as f32;
            }
        }
        // It is the same grey before and after the chrominance is turned.
        let added = (self.contrast * (self.brightness - 0.5) + 0.5) as f32;
        for channel in 0..3 {
            matrix[4 * channel + 3] = added;
        }
        matrix
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(color: Color, rgb: [f64; 3]) -> [f64; 3] {
        let matrix = color.matrix().map(f64::from);
        std::array::from_fn(|c| (0..3).map(|k| matrix[4 * c + k] * rgb[k]).sum::<f64>() + matrix[4 * c + 3])
    }

    fn assert_near(got: [f64; 3], expected: [f64; 3]) {
        assert!(got.iter().zip(expected).all(|(g, e)| (g - e).abs() < 1e-6), "{got:?} is not {expected:?}");
    }

    const ORANGE: [f64; 3] = [0.9, 0.5, 0.1];

    #[test]
    fn every_ingredient_does_what_its_name_says() {
        let none = Color::default();
        let grey: f64 = ORANGE.iter().zip(LUMINANCE).map(|(v, share)| v * share).sum();
        assert_near(apply(none, ORANGE), ORANGE);
        assert_near(apply(Color { brightness: 0.25, ..none }, ORANGE), [1.15, 0.75, 0.35]);
        assert_near(apply(Color { contrast: 0.5, ..none }, ORANGE), [0.7, 0.5, 0.3]);
        assert_near(apply(Color { saturation: 0.0, ..none }, ORANGE), [grey; 3]);
        let expected = ORANGE.map(|v| grey + 1.5 * (v - grey));
        assert_near(apply(Color { saturation: 1.5, ..none }, ORANGE), expected);
    }

    #[test]
    fn turning_the_hue_keeps_luminance_and_greys_and_comes_round() {
        let turned = |hue: f64| Color { hue, ..Color::default() };
        let luminance = |rgb: [f64; 3]| rgb.iter().zip(LUMINANCE).map(|(v, share)| v * share).sum::<f64>();
        for step in 0..20 {
            let color = turned(f64::from(step) / 20.0);
            assert!((luminance(apply(color, ORANGE)) - luminance(ORANGE)).abs() < 1e-6);
            assert_near(apply(color, [0.3; 3]), [0.3; 3]);
        }
        assert_near(apply(turned(1.0), ORANGE), ORANGE);
        assert_near(apply(turned(0.3), apply(turned(-0.3), ORANGE)), ORANGE);
        let opposite = ORANGE.map(|v| 2.0 * luminance(ORANGE) - v);
        assert_near(apply(turned(0.5), ORANGE), opposite);
    }

    #[test]
    fn brightness_comes_before_contrast_and_both_before_the_chrominance() {
        let all = Color { brightness: 0.1, contrast: 1.4, saturation: 0.6, hue: 0.07 };
        let first = ORANGE.map(|v| 1.4 * (v + 0.1 - 0.5) + 0.5);
        assert_near(apply(all, ORANGE), apply(Color { saturation: 0.6, hue: 0.07, ..Color::default() }, first));
    }
}
