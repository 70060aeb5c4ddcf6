//! The embedded font of all pictures: no font of the system is needed.

use std::sync::Once;

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
