//! The embedded font of all pictures: no font of the system is needed.

use std::sync::Once;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::FontStyle;

/// The name under which pictures ask for it.
pub(super) const FONT: &str = "sans-serif";

/// Makes the font known to the drawing library.
pub(super) fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Registering fails only for a broken font file, which the tests would show.
        let _ = plotters::style::register_font(FONT, FontStyle::Normal, include_bytes!("font/OpenSans-Regular.ttf"));
    });
}

/// Text that fits `room` pixels: cut with … if need be.
pub(super) fn fitted(area: &DrawingArea<BitMapBackend, Shift>, text: &str, size: i32, room: u32) -> String {
    let style = (FONT, size).into_font().into_text_style(area);
    let fits = |t: &str| area.estimate_text_size(t, &style).is_ok_and(|(w, _)| w <= room);
    if fits(text) {
        return text.to_owned();
    }
    let letters: Vec<char> = text.chars().collect();
    let cut = |n: usize| letters[..n].iter().collect::<String>() + "…";
    (0..letters.len()).rev().map(cut).find(|t| fits(t)).unwrap_or_default()
}
