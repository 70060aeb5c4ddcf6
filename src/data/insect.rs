//! One drawn picture: a background, clutter, and an insect whose class is told by its shape.

use image::RgbImage;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tiny_skia::{
    Color, FillRule, GradientStop, LineCap, LinearGradient, Paint, Path, PathBuilder, Pixmap, Point, RadialGradient,
    Shader, SpreadMode, Stroke, Transform,
};

const WIDTH: u32 = 160;
const HEIGHT: u32 = 120;

/// What to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Round and domed, with a seam between its wing cases.
    Beetle,
    /// Long and flat, with a shield over the head, very long antennae and two tails.
    Cockroach,
    /// A thin long body, large eyes and four long clear wings.
    Dragonfly,
}

/// Random numbers of one picture.
struct Chance(ChaCha8Rng);

impl Chance {
    fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * (self.0.next_u32() as f32 / u32::MAX as f32)
    }

    fn one_of(&mut self, count: u32) -> u32 {
        self.0.next_u32() % count
    }

    /// A colour of this hue (in turns), saturation and lightness.
    fn colour(&mut self, hue: (f32, f32), saturation: (f32, f32), lightness: (f32, f32)) -> Color {
        let (h, s, l) = (
            self.between(hue.0, hue.1).rem_euclid(1.0),
            self.between(saturation.0, saturation.1),
            self.between(lightness.0, lightness.1),
        );
        let channel = |n: f32| {
            let k = (n + h * 12.0) % 12.0;
            (l - s * l.min(1.0 - l) * (k - 3.0).min(9.0 - k).clamp(-1.0, 1.0)).clamp(0.0, 1.0)
        };
        Color::from_rgba(channel(0.0), channel(8.0), channel(4.0), 1.0).unwrap_or(Color::BLACK)
    }
}

fn shade(colour: Color, factor: f32, alpha: f32) -> Color {
    let scale = |v: f32| (v * factor).clamp(0.0, 1.0);
    Color::from_rgba(scale(colour.red()), scale(colour.green()), scale(colour.blue()), alpha).unwrap_or(Color::BLACK)
}

fn paint(colour: Color) -> Paint<'static> {
    Paint { shader: Shader::SolidColor(colour), anti_alias: true, ..Paint::default() }
}

fn ellipse(x: f32, y: f32, rx: f32, ry: f32) -> Option<Path> {
    PathBuilder::from_oval(tiny_skia::Rect::from_xywh(x - rx, y - ry, 2.0 * rx, 2.0 * ry)?)
}

/// A canvas with the transform of what is drawn on it.
struct Canvas {
    pixmap: Pixmap,
    place: Transform,
}

impl Canvas {
    fn fill(&mut self, path: Option<Path>, paint: &Paint) {
        if let Some(path) = path {
            self.pixmap.fill_path(&path, paint, FillRule::Winding, self.place, None);
        }
    }

    fn oval(&mut self, x: f32, y: f32, rx: f32, ry: f32, colour: Color) {
        self.fill(ellipse(x, y, rx, ry), &paint(colour));
    }

    /// An oval lit from one side.
    fn dome(&mut self, x: f32, y: f32, rx: f32, ry: f32, colour: Color, light: Point) {
        let stops = vec![
            GradientStop::new(0.0, shade(colour, 1.9, 1.0)),
            GradientStop::new(0.35, colour),
            GradientStop::new(1.0, shade(colour, 0.45, 1.0)),
        ];
        let at = Point::from_xy(x + light.x * rx * 0.45, y + light.y * ry * 0.45);
        let radius = rx.max(ry) * 1.25;
        let shader = RadialGradient::new(at, 0.0, at, radius, stops, SpreadMode::Pad, Transform::identity());
        let paint =
            Paint { shader: shader.unwrap_or(Shader::SolidColor(colour)), anti_alias: true, ..Paint::default() };
        let oval = ellipse(x, y, rx, ry);
        self.fill(oval.clone(), &paint);
        self.outline(oval, 1.3, shade(colour, 0.3, 1.0));
    }

    /// A dark rim: it keeps the shape visible where body and background have one colour, and is too thin for a classifier
    /// without a sense of shape to use.
    fn outline(&mut self, path: Option<Path>, width: f32, colour: Color) {
        if let Some(path) = path {
            let stroke = Stroke { width, ..Stroke::default() };
            self.pixmap.stroke_path(&path, &paint(colour), &stroke, self.place, None);
        }
    }

    fn line(&mut self, points: &[(f32, f32)], width: f32, colour: Color) {
        let mut builder = PathBuilder::new();
        let [first, rest @ ..] = points else { return };
        builder.move_to(first.0, first.1);
        match rest {
            [control, end] => builder.quad_to(control.0, control.1, end.0, end.1),
            _ => rest.iter().for_each(|p| builder.line_to(p.0, p.1)),
        }
        if let Some(path) = builder.finish() {
            let stroke = Stroke { width, line_cap: LineCap::Round, ..Stroke::default() };
            self.pixmap.stroke_path(&path, &paint(colour), &stroke, self.place, None);
        }
    }
}

/// The picture of this seed and stream; `None` only if there is no memory for it.
pub(super) fn draw(kind: Kind, seed: u64, stream: u64) -> Option<RgbImage> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(stream);
    let mut chance = Chance(random);
    let mut canvas = Canvas { pixmap: Pixmap::new(WIDTH, HEIGHT)?, place: Transform::identity() };
    background(&mut canvas, &mut chance);

    let scale = chance.between(0.85, 1.2);
    let (x, y) = (chance.between(58.0, 102.0), chance.between(48.0, 72.0));
    let degrees = chance.between(-50.0, 50.0);
    let squeeze = chance.between(0.82, 1.0);
    let direction = chance.between(0.0, std::f32::consts::TAU);
    let light = Point::from_xy(direction.cos(), direction.sin());
    let stand = |dx: f32, dy: f32| {
        Transform::from_translate(x + dx, y + dy).pre_rotate(degrees).pre_scale(scale * squeeze, scale)
    };
    // The shadow falls away from the light.
    canvas.place = stand(light.x * -5.0, light.y * -5.0);
    let shadow = Color::from_rgba(0.0, 0.0, 0.0, chance.between(0.1, 0.3)).unwrap_or(Color::BLACK);
    let length = if kind == Kind::Beetle { 30.0 } else { 36.0 };
    canvas.oval(0.0, 2.0, if kind == Kind::Dragonfly { 6.0 } else { 17.0 }, length, shadow);
    canvas.place = stand(0.0, 0.0);
    match kind {
        Kind::Beetle => beetle(&mut canvas, &mut chance, light),
        Kind::Cockroach => cockroach(&mut canvas, &mut chance, light),
        Kind::Dragonfly => dragonfly(&mut canvas, &mut chance, light),
    }
    canvas.place = Transform::identity();
    if chance.one_of(3) == 0 {
        blade(&mut canvas, &mut chance);
    }
    Some(expose(&canvas.pixmap, &mut chance))
}

/// Body colours: the same range for all three classes, darker or lighter than any background.
fn body_colour(chance: &mut Chance) -> Color {
    match chance.one_of(4) {
        0 => chance.colour((0.02, 0.10), (0.4, 0.9), (0.18, 0.70)),
        1 => chance.colour((0.25, 0.60), (0.3, 0.9), (0.20, 0.70)),
        2 => chance.colour((0.95, 1.15), (0.5, 0.9), (0.25, 0.75)),
        _ => chance.colour((0.0, 1.0), (0.0, 0.2), (0.06, 0.85)),
    }
}

fn legs(canvas: &mut Canvas, chance: &mut Chance, shoulders: [f32; 3], half: f32, reach: f32, colour: Color) {
    let width = chance.between(1.6, 2.6);
    for (index, y) in shoulders.into_iter().enumerate() {
        let lean = [-14.0, 2.0, 16.0][index];
        for side in [-1.0, 1.0] {
            let bend = chance.between(-4.0, 4.0);
            let knee = (side * (half + reach * 0.55), y + lean * 0.4 + bend);
            let foot = (side * (half + reach), y + lean * 1.3 + bend);
            canvas.line(
                &[(side * half * 0.6, y), knee, foot, (foot.0 + side * 2.0, foot.1 + lean * 0.25)],
                width,
                colour,
            );
        }
    }
}

fn beetle(canvas: &mut Canvas, chance: &mut Chance, light: Point) {
    let colour = body_colour(chance);
    let dark = shade(colour, 0.4, 1.0);
    let half = chance.between(21.0, 26.0);
    let length = chance.between(23.0, 27.0);
    legs(canvas, chance, [-12.0, 2.0, 14.0], half, 12.0, dark);
    for side in [-1.0, 1.0] {
        let spread = chance.between(6.0, 12.0);
        canvas.line(
            &[(side * 4.0, -length - 8.0), (side * 8.0, -length - 14.0), (side * spread, -length - 15.0)],
            1.6,
            dark,
        );
    }
    canvas.dome(0.0, -length - 3.0, half * 0.42, 7.0, dark, light);
    canvas.dome(0.0, -length + 5.0, half * 0.78, 9.5, shade(colour, chance.between(0.5, 1.0), 1.0), light);
    canvas.dome(0.0, 4.0, half, length, colour, light);
    canvas.line(&[(0.0, -length + 8.0), (0.0, length + 3.0)], 1.5, dark);
    match chance.one_of(3) {
        0 => {
            let spot = shade(body_colour(chance), 1.2, 0.9);
            for side in [-1.0, 1.0] {
                for y in [-8.0, 5.0, 17.0] {
                    let size = chance.between(2.0, 4.0);
                    canvas.oval(side * half * 0.5, y, size, size, spot);
                }
            }
        }
        1 => {
            for k in 1..4 {
                let x = half * 0.24 * k as f32;
                for side in [-1.0, 1.0] {
                    canvas.line(
                        &[(side * x, -12.0), (side * x * 1.1, 4.0), (side * x * 0.8, length * 0.8)],
                        0.8,
                        shade(colour, 0.6, 1.0),
                    );
                }
            }
        }
        _ => {}
    }
}

fn cockroach(canvas: &mut Canvas, chance: &mut Chance, light: Point) {
    let colour = body_colour(chance);
    let dark = shade(colour, 0.5, 1.0);
    let half = chance.between(10.0, 13.0);
    let length = chance.between(32.0, 38.0);
    legs(canvas, chance, [-14.0, -4.0, 8.0], half, 17.0, dark);
    for side in [-1.0, 1.0] {
        let (out, back) = (chance.between(14.0, 38.0), chance.between(-20.0, 12.0));
        canvas.line(
            &[(side * 3.0, -length), (side * out * 0.6, -length - 26.0), (side * out, -length - 12.0 + back)],
            1.1,
            dark,
        );
        canvas.line(&[(side * 5.0, length - 6.0), (side * 8.0, length + 6.0)], 1.8, dark);
    }
    canvas.dome(0.0, 3.0, half, length - 2.0, colour, light);
    for k in 0..4 {
        let y = 6.0 + 6.5 * k as f32;
        canvas.line(&[(-half * 0.75, y), (0.0, y + 3.5), (half * 0.75, y)], 0.8, shade(colour, 0.7, 1.0));
    }
    let mut wing = |side: f32| {
        canvas.line(&[(side * 1.0, -length + 14.0), (side * 5.0, 0.0), (side * 2.0, length - 4.0)], 1.0, dark)
    };
    wing(1.0);
    wing(-1.0);
    canvas.dome(0.0, -length - 1.0, 4.6, 4.5, dark, light);
    canvas.dome(0.0, -length + 8.0, half * 0.98, 8.5, shade(colour, chance.between(0.8, 1.5), 1.0), light);
    for side in [-1.0, 1.0] {
        canvas.oval(side * half * 0.38, -length + 8.0, 2.2, 4.2, shade(dark, 0.8, 0.8));
    }
}

fn dragonfly(canvas: &mut Canvas, chance: &mut Chance, light: Point) {
    let colour = body_colour(chance);
    let dark = shade(colour, 0.45, 1.0);
    let clear = Color::from_rgba(0.9, 0.95, 1.0, chance.between(0.25, 0.55)).unwrap_or(Color::WHITE);
    let span = chance.between(38.0, 46.0);
    let sweep = chance.between(-6.0, 10.0);
    for (root, tilt, length) in [(-16.0, -8.0 + sweep, span), (-9.0, 10.0 + sweep, span * 0.92)] {
        for side in [-1.0, 1.0] {
            let mut builder = PathBuilder::new();
            let tip = (side * length, root + tilt);
            builder.move_to(side * 2.0, root);
            builder.quad_to(side * length * 0.6, root + tilt * 0.4 - 6.0, tip.0, tip.1 - 2.0);
            builder.quad_to(tip.0 + side * 3.0, tip.1 + 4.0, side * length * 0.8, root + tilt * 0.8 + 7.0);
            builder.quad_to(side * length * 0.4, root + tilt * 0.5 + 7.0, side * 2.0, root + 3.0);
            builder.close();
            let wing = builder.finish();
            canvas.fill(wing.clone(), &paint(clear));
            canvas.outline(wing, 0.9, dark);
            canvas.line(
                &[(side * 2.0, root), (side * length * 0.6, root + tilt * 0.4 - 5.5), (tip.0, tip.1 - 2.0)],
                0.9,
                dark,
            );
            canvas.line(
                &[(side * 2.0, root + 1.5), (side * length * 0.5, root + tilt * 0.5 + 2.0), (tip.0, tip.1 + 2.0)],
                0.5,
                dark,
            );
            canvas.oval(tip.0 - side * 4.0, tip.1 - 0.5, 2.4, 1.2, dark);
        }
    }
    let bend = chance.between(-4.0, 4.0);
    let half = chance.between(2.0, 3.2);
    canvas.line(&[(0.0, -8.0), (bend, 16.0), (bend * 0.4, 42.0)], half * 2.0, colour);
    for k in 0..6 {
        let y = 2.0 + 6.5 * k as f32;
        canvas.line(&[(-half + bend * 0.4, y), (half + bend * 0.4, y)], 1.0, dark);
    }
    canvas.dome(0.0, -13.0, 5.2, 9.0, colour, light);
    let eye = body_colour(chance);
    canvas.dome(-3.6, -23.5, 4.0, 3.8, eye, light);
    canvas.dome(3.6, -23.5, 4.0, 3.8, eye, light);
}

fn whole() -> Option<Path> {
    Some(PathBuilder::from_rect(tiny_skia::Rect::from_xywh(0.0, 0.0, WIDTH as f32, HEIGHT as f32)?))
}

/// A gradient in one of several palettes, with stones, twigs or leaves of the same palette strewn over it.
fn background(canvas: &mut Canvas, chance: &mut Chance) {
    type Range = (f32, f32);
    let palettes: [(Range, Range, Range); 6] = [
        ((0.22, 0.38), (0.25, 0.7), (0.10, 0.65)), // leaf
        ((0.08, 0.13), (0.15, 0.5), (0.30, 0.80)), // sand
        ((0.05, 0.09), (0.25, 0.6), (0.06, 0.40)), // wood and soil
        ((0.53, 0.62), (0.2, 0.7), (0.55, 0.85)),  // sky and water
        ((0.0, 1.0), (0.0, 0.12), (0.10, 0.95)),   // paper
        ((0.85, 1.15), (0.2, 0.7), (0.45, 0.80)),  // blossom
    ];
    let (hue, saturation, lightness) = palettes[chance.one_of(6) as usize];
    let ends = [chance.colour(hue, saturation, lightness), chance.colour(hue, saturation, lightness)];
    let turn = chance.between(0.0, std::f32::consts::TAU);
    let (dx, dy) = (turn.cos() * 100.0, turn.sin() * 100.0);
    let stops = vec![GradientStop::new(0.0, ends[0]), GradientStop::new(1.0, ends[1])];
    let (from, to) = (Point::from_xy(80.0 - dx, 60.0 - dy), Point::from_xy(80.0 + dx, 60.0 + dy));
    let shader = LinearGradient::new(from, to, stops, SpreadMode::Pad, Transform::identity());
    let fill = Paint { shader: shader.unwrap_or(Shader::SolidColor(ends[0])), ..Paint::default() };
    canvas.fill(whole(), &fill);
    let style = chance.one_of(3);
    for _ in 0..8 + chance.one_of(26) {
        let (x, y) = (chance.between(0.0, 160.0), chance.between(0.0, 120.0));
        let colour =
            shade(chance.colour(hue, saturation, lightness), chance.between(0.7, 1.2), chance.between(0.3, 0.9));
        match style {
            0 => {
                let size = chance.between(1.5, 10.0);
                let flat = chance.between(0.5, 1.0);
                canvas.oval(x, y, size, size * flat, colour);
            }
            1 => {
                let (w, length) = (chance.between(0.8, 4.0), chance.between(8.0, 60.0));
                let lean = chance.between(0.0, std::f32::consts::TAU);
                canvas.line(&[(x, y), (x + lean.cos() * length, y + lean.sin() * length)], w, colour);
            }
            _ => {
                let degrees = chance.between(0.0, 360.0);
                let (rx, ry) = (chance.between(4.0, 20.0), chance.between(2.0, 8.0));
                canvas.place = Transform::from_translate(x, y).pre_rotate(degrees);
                canvas.oval(0.0, 0.0, rx, ry, colour);
                canvas.place = Transform::identity();
            }
        }
    }
}

/// A blade of grass or a twig across the insect.
fn blade(canvas: &mut Canvas, chance: &mut Chance) {
    let colour = chance.colour((0.05, 0.35), (0.2, 0.6), (0.25, 0.6));
    let (from, to) = (chance.between(0.0, 160.0), chance.between(0.0, 160.0));
    let bend = chance.between(20.0, 140.0);
    let width = chance.between(1.5, 4.5);
    canvas.line(&[(from, -5.0), (bend, 60.0), (to, 125.0)], width, colour);
}

/// Brightness, contrast, a tint, a gradient of light and the sensor's noise.
fn expose(pixmap: &Pixmap, chance: &mut Chance) -> RgbImage {
    let (gain, offset) = (chance.between(0.7, 1.2), chance.between(-20.0, 20.0));
    let tint = [chance.between(0.9, 1.1), chance.between(0.92, 1.06), chance.between(0.88, 1.12)];
    let turn = chance.between(0.0, std::f32::consts::TAU);
    let slope = chance.between(0.0, 0.35);
    let noise = chance.between(1.0, 9.0);
    let mut picture = RgbImage::new(WIDTH, HEIGHT);
    for (i, (to, from)) in picture.pixels_mut().zip(pixmap.pixels()).enumerate() {
        let (x, y) = ((i as u32 % WIDTH) as f32 / 80.0 - 1.0, (i as u32 / WIDTH) as f32 / 60.0 - 1.0);
        let light = gain * (1.0 + slope * (x * turn.cos() + y * turn.sin()));
        let grain = chance.between(-noise, noise);
        for (c, value) in [from.red(), from.green(), from.blue()].into_iter().enumerate() {
            to.0[c] = (f32::from(value) * light * tint[c] + offset + grain).clamp(0.0, 255.0) as u8;
        }
    }
    picture
}
