//! A training on the whole terminal: curves as they grow, throughput, time left, what was answered wrong.
//!
//! A thread of its own draws and listens to the keyboard, so that the clock runs on and Ctrl-C is heard during long steps.
//! Whatever ends the training, the terminal is given back as it was.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Chart, Dataset, Gauge, GraphType, Paragraph, Wrap};
use ratatui::{DefaultTerminal, Frame};

use super::curves::{loss_text, tick_step};
use super::{Epoch, EpochEnd, History, Mistake, Moment, Observer, ReportError};

/// How often to draw, and to look for keys.
const DRAW_EVERY: Duration = Duration::from_millis(200);

/// Blue and orange of the 256 colours, legible on dark and on light.
const TRAIN: Color = Color::Indexed(33);
const TEST: Color = Color::Indexed(208);

/// The exit code of a program that Ctrl-C has ended at once.
const INTERRUPTED: i32 = 130;

/// Whether the terminal is taken.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Gives the terminal back if a dashboard has it, and says whether it had: for those who end the process at once.
pub fn leave() -> bool {
    let taken = TAKEN.swap(false, Ordering::SeqCst);
    if taken {
        ratatui::restore();
        // The cursor comes back with the terminal's own end, which a process that ends at once does not live to see.
        let _ = execute!(std::io::stdout(), Show);
    }
    taken
}

/// Whether a dashboard has the terminal: then nothing else may write to it.
pub fn is_open() -> bool {
    TAKEN.load(Ordering::SeqCst)
}

/// What does not change during a training.
#[derive(Clone, Debug)]
pub struct About {
    /// The run.
    pub title: String,
    /// The adapter.
    pub adapter: String,
    /// Classes.
    pub classes: Vec<String>,
    /// Epochs in all.
    pub epochs: usize,
    /// Steps of an epoch.
    pub steps: usize,
    /// Pictures to train on.
    pub pictures: usize,
}

struct State {
    about: About,
    history: Vec<Epoch>,
    epoch: usize,
    /// When this epoch began here, and after how many of its steps.
    start: (Instant, usize),
    now: Moment,
    /// Steps of this epoch: place on the horizontal axis, mean loss and accuracy so far.
    trail: Vec<[f64; 3]>,
    mistakes: Vec<Mistake>,
    notes: Vec<String>,
}

/// Draws a training on the whole terminal.
pub struct Dashboard {
    state: Arc<Mutex<State>>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Dashboard {
    /// Takes the terminal, for a training whose past epochs are `history`. Ctrl-C, or q, sets `stop`; a second one ends the
    /// process.
    ///
    /// # Errors
    /// [`ReportError::Terminal`].
    pub fn open(about: About, history: &History, stop: &'static AtomicBool) -> Result<Dashboard, ReportError> {
        let terminal = ratatui::try_init().map_err(ReportError::Terminal)?;
        TAKEN.store(true, Ordering::SeqCst);
        let state = Arc::new(Mutex::new(State {
            about,
            history: history.0.clone(),
            epoch: history.0.len() + 1,
            start: (Instant::now(), 0),
            now: Moment::default(),
            trail: Vec::new(),
            mistakes: Vec::new(),
            notes: Vec::new(),
        }));
        let end = Arc::new(AtomicBool::new(false));
        let (shown, ending) = (state.clone(), end.clone());
        let thread = std::thread::spawn(move || show(terminal, &shown, &ending, stop));
        Ok(Dashboard { state, end, thread: Some(thread) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        self.end.store(true, Ordering::SeqCst);
        // A thread that has panicked has nothing to draw any more; the terminal is given back all the same.
        let _ = self.thread.take().map(JoinHandle::join);
        leave();
    }
}

/// Draws and listens until `end`.
fn show(mut terminal: DefaultTerminal, state: &Mutex<State>, end: &AtomicBool, stop: &AtomicBool) {
    while !end.load(Ordering::SeqCst) {
        let stopping = stop.load(Ordering::SeqCst);
        // A terminal that cannot be drawn on has gone; the training goes on, and can be stopped by signals.
        let drawn = terminal.draw(|frame| draw(frame, &locked(state), stopping));
        let pressed = drawn
            .and_then(|_| event::poll(DRAW_EVERY))
            .and_then(|any| if any { event::read().map(Some) } else { Ok(None) });
        match pressed {
            Ok(Some(event)) if is_stop(&event) => {
                if stop.swap(true, Ordering::SeqCst) {
                    leave();
                    std::process::exit(INTERRUPTED);
                }
            }
            Ok(_) => {}
            Err(_) => std::thread::sleep(DRAW_EVERY),
        }
    }
}

fn is_stop(event: &Event) -> bool {
    let Event::Key(key) = event else { return false };
    let control_c = key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c');
    key.kind == KeyEventKind::Press && (control_c || key.code == KeyCode::Char('q'))
}

impl Observer for Dashboard {
    fn epoch_begins(&mut self, epoch: usize, done: usize) {
        let mut state = self.state();
        (state.epoch, state.start) = (epoch, (Instant::now(), done));
        state.now.done = done;
        state.trail.clear();
    }

    fn step(&mut self, moment: &Moment) {
        let mut state = self.state();
        let x = state.epoch as f64 - 1.0 + moment.done as f64 / state.about.steps.max(1) as f64;
        state.trail.push([x, moment.loss, moment.accuracy]);
        state.now = *moment;
    }

    fn epoch_ends(&mut self, end: &EpochEnd) -> Result<(), ReportError> {
        let mut state = self.state();
        state.history.push(end.epoch.clone());
        state.mistakes = end.mistakes.to_vec();
        state.trail.clear();
        Ok(())
    }

    fn note(&mut self, text: &str) -> bool {
        self.state().notes.push(text.to_owned());
        true
    }
}

impl State {
    /// Seconds that a step takes in this epoch.
    fn each(&self) -> Option<f64> {
        let (start, before) = self.start;
        let done = self.now.done.checked_sub(before).filter(|done| *done > 0)?;
        Some(start.elapsed().as_secs_f64() / done as f64)
    }

    /// Seconds that the rest of the training takes, by what the last epoch took or else by this one's steps.
    fn left(&self) -> Option<f64> {
        let each = self.each();
        let of_epoch = self.history.last().map(|e| e.seconds).or(each.map(|each| each * self.about.steps as f64))?;
        let share = 1.0 - self.now.done as f64 / self.about.steps.max(1) as f64;
        let after = self.about.epochs.saturating_sub(self.epoch) as f64;
        Some(of_epoch * (after + share.max(0.0)))
    }

    fn figures(&self, stopping: bool) -> Vec<Line<'static>> {
        let line = |name: &str, value: String| {
            Line::from(vec![
                Span::styled(format!("{name:<12}"), Style::new().add_modifier(Modifier::DIM)),
                Span::raw(value),
            ])
        };
        let speed = self.each().map_or("…".to_owned(), |each| {
            let pictures = self.about.pictures as f64 / self.about.steps.max(1) as f64 / each;
            let step = if each < 1.0 { format!("{:.0} ms", 1e3 * each) } else { format!("{each:.1} s") };
            format!("{pictures:.0} pictures/s, {step}/step")
        });
        let best = self.history.iter().filter_map(|e| Some((e.epoch, e.val_accuracy?)));
        let best = best.fold(None::<(usize, f64)>, |best, e| best.filter(|b| b.1 >= e.1).or(Some(e)));
        let percent = |v: f64| format!("{:.1} %", 100.0 * v);
        let mut lines = vec![
            line("throughput", speed),
            line("time left", self.left().map_or("…".to_owned(), clock)),
            line("training", format!("loss {}, accuracy {}", loss_text(self.now.loss), percent(self.now.accuracy))),
        ];
        if let Some((last, accuracy)) = self.history.last().and_then(|e| Some((e, e.val_accuracy?))) {
            lines.push(line(
                "test",
                format!("loss {}, accuracy {}", loss_text(last.val_loss.unwrap_or(f64::NAN)), percent(accuracy)),
            ));
        }
        if let Some((epoch, accuracy)) = best {
            lines.push(line("best", format!("{} after epoch {epoch}", percent(accuracy))));
        }
        lines.extend(self.notes.last().map(|note| Line::from(note.clone())));
        lines.push(Line::styled(
            if stopping {
                "ending after what is under way; Ctrl-C again ends at once"
            } else {
                "q or Ctrl-C ends and keeps what was learnt"
            },
            Style::new().add_modifier(if stopping { Modifier::BOLD } else { Modifier::DIM }),
        ));
        lines
    }
}

fn clock(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds:02} s"),
        (hours, minutes, _) => format!("{hours} h {minutes:02} min"),
    }
}

fn draw(frame: &mut Frame, state: &State, stopping: bool) {
    let rows = [Constraint::Length(1), Constraint::Fill(3), Constraint::Length(1), Constraint::Min(8)];
    let [head, curves, bar, foot] = Layout::vertical(rows).areas(frame.area());
    let [left, right] = Layout::horizontal([Constraint::Fill(1); 2]).areas(curves);
    let [figures, mistakes] = Layout::horizontal([Constraint::Fill(1); 2]).areas(foot);
    let about = &state.about;
    let title = format!("glowworm  {}", about.title);
    let title = Line::from(vec![
        Span::styled(title, Style::new().add_modifier(Modifier::BOLD)),
        Span::styled(format!("  {}", about.adapter), Style::new().add_modifier(Modifier::DIM)),
    ]);
    frame.render_widget(title, head);
    draw_curve(frame, left, state, "accuracy", 2, |e| [Some(e.accuracy), e.val_accuracy]);
    draw_curve(frame, right, state, "loss", 1, |e| [Some(e.loss), e.val_loss]);
    let share = (state.now.done as f64 / about.steps.max(1) as f64).clamp(0.0, 1.0);
    let label = format!(
        "epoch {} of {}, step {} of {}",
        state.epoch.min(about.epochs),
        about.epochs,
        state.now.done,
        about.steps
    );
    frame.render_widget(
        Gauge::default().ratio(share).label(label).gauge_style(Style::new().fg(TRAIN)).use_unicode(true),
        bar,
    );
    let block = Block::bordered().title(" figures ");
    frame.render_widget(Paragraph::new(state.figures(stopping)).wrap(Wrap { trim: true }).block(block), figures);
    draw_mistakes(frame, mistakes, state);
}

fn draw_mistakes(frame: &mut Frame, area: Rect, state: &State) {
    // Which class the picture is of, its folder says.
    let class = |index: usize| state.about.classes.get(index).map_or("?", String::as_str);
    let lines = state.mistakes.iter().map(|m| {
        let said = format!("  {} {:.0} %", class(m.said), 100.0 * m.probability);
        Line::from(vec![Span::raw(m.file.clone()), Span::styled(said, Style::new().fg(TEST))])
    });
    let title = match state.history.last() {
        Some(epoch) => format!(" wrong after epoch {}: {} ", epoch.epoch, state.mistakes.len()),
        None => " wrong test pictures: after the first epoch ".to_owned(),
    };
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()).block(Block::bordered().title(title)), area);
}

/// Training and test values of every epoch; of this one, the means so far, which stand at `column` of the trail.
fn draw_curve(
    frame: &mut Frame,
    area: Rect,
    state: &State,
    title: &str,
    column: usize,
    values: fn(&Epoch) -> [Option<f64>; 2],
) {
    let points = |line: usize| {
        let of = move |e: &Epoch| Some((e.epoch as f64, values(e)[line].filter(|v| v.is_finite())?));
        state.history.iter().filter_map(of).collect::<Vec<(f64, f64)>>()
    };
    let [mut train, test] = [points(0), points(1)];
    train.extend(state.trail.iter().map(|t| (t[0], t[column])).filter(|p| p.1.is_finite()));
    let all = || train.iter().chain(&test).map(|p| p.1);
    let floor: (f64, f64) = if column == 2 { (0.9, 1.0) } else { (0.0, 0.1) };
    let (low, high) = all().fold(floor, |(low, high), v| (low.min(v), high.max(v)));
    let step = tick_step(high - low, 4.0);
    let (low, high) = ((low / step + 1e-9).floor() * step, (high / step - 1e-9).ceil() * step);
    let text = |v: f64| if column == 2 { format!("{:.0} %", 100.0 * v) } else { loss_text(v) };
    let ticks = ((high - low) / step).round() as usize;
    let rows: Vec<String> = (0..=ticks).map(|i| text(low + i as f64 * step)).collect();
    let last = (state.epoch.max(2) as f64).min(state.about.epochs.max(2) as f64);
    // Labels stand at even distances: one in the middle must be a whole epoch.
    let middle = (last % 2.0 == 0.0).then_some(last / 2.0);
    let columns = [Some(0.0), middle, Some(last)].into_iter().flatten().map(|v| format!("{v:.0}"));
    let line = |colour: Color, points| {
        let style = Style::new().fg(colour);
        Dataset::default().marker(Marker::Braille).graph_type(GraphType::Line).style(style).data(points)
    };
    let title = Line::from(vec![
        Span::raw(format!(" {title}  ")),
        Span::styled("training ", Style::new().fg(TRAIN)),
        Span::styled("test ", Style::new().fg(TEST)),
    ]);
    let dim = Style::new().add_modifier(Modifier::DIM);
    let chart = Chart::new(vec![line(TRAIN, &train), line(TEST, &test)])
        .block(Block::bordered().title(title))
        .x_axis(Axis::default().bounds([0.0, last]).labels(columns.collect::<Vec<_>>()).style(dim))
        .y_axis(Axis::default().bounds([low, high]).labels(rows).style(dim));
    frame.render_widget(chart, area);
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    fn state(epochs: usize) -> State {
        let epoch = |n: usize| Epoch {
            epoch: n,
            loss: if n == 2 { f64::NAN } else { 1.0 / n as f64 },
            accuracy: 0.5,
            val_loss: Some(0.7),
            val_accuracy: Some(0.6),
            seconds: 30.0,
            learning_rate: None,
        };
        let (title, adapter) = ("runs/a-1".to_owned(), "a card".to_owned());
        let classes = ["beetle", "fly"].map(String::from).to_vec();
        State {
            about: About { title, adapter, classes, epochs: 10, steps: 20, pictures: 640 },
            history: (1..=epochs).map(epoch).collect(),
            epoch: epochs + 1,
            start: (Instant::now(), 0),
            now: Moment { step: 25, done: 5, loss: 0.4, accuracy: 0.8 },
            trail: vec![[epochs as f64 + 0.25, 0.4, 0.8]],
            mistakes: vec![Mistake { file: "test/a.jpg".to_owned(), said: 1, probability: 0.93, label: 0 }],
            notes: Vec::new(),
        }
    }

    fn drawn(state: &State, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        terminal.draw(|frame| draw(frame, state, false)).expect("drawn");
        terminal.backend().to_string()
    }

    #[test]
    fn everything_is_seen_on_a_terminal_of_usual_size() {
        let text = drawn(&state(3), 100, 30);
        for part in ["runs/a-1", "a card", "accuracy", "loss", "epoch 4 of 10, step 5 of 20", "pictures/s", "time left"]
        {
            assert!(text.contains(part), "{part} is missing:\n{text}");
        }
        assert!(text.contains("test/a.jpg  fly 93 %") && text.contains("wrong after epoch 3: 1"), "{text}");
        // Six whole epochs and three quarters of one, of half a minute each.
        assert!(text.contains("3 min 23 s") || text.contains("3 min 22 s"), "{text}");
        assert!(text.chars().any(|c| ('\u{2801}'..='\u{28ff}').contains(&c)), "there are no curves:\n{text}");
    }

    #[test]
    fn terminals_of_any_size_and_trainings_at_any_stage_can_be_drawn() {
        for (width, height) in [(1, 1), (5, 2), (20, 5), (80, 24), (300, 100)] {
            for epochs in [0, 1, 2, 10] {
                drawn(&state(epochs), width, height);
            }
        }
    }
}
