//! Names and texts out of files that others have made: what may name a class, what may reach a terminal.

/// The text with every character replaced that could command a terminal or turn the reading direction: for names and
/// texts out of files that others have made. Line breaks and tabs stay.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if !matches!(c, '\n' | '\t') && commands_terminal(c) { '\u{fffd}' } else { c }).collect()
}

/// Control characters, and Unicode's marks that reverse what follows.
fn commands_terminal(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Why `name` can name no class, if it cannot: a class is called like its folder, so it holds no separators, and it is
/// printed wherever results are.
pub fn unfit_name(name: &str) -> Option<&'static str> {
    match name {
        "" | "." | ".." => Some("it names no folder"),
        _ if name.len() > 255 => Some("it is longer than 255 bytes"),
        _ if name.contains(['/', '\\']) => Some("it holds a slash"),
        _ if name.chars().any(commands_terminal) => Some("it holds control characters"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_their_folder_or_command_a_terminal_are_unfit() {
        for name in ["", ".", "..", "../../x", "/etc/passwd", "a\\b", "a\0b", "\u{1b}[2J", "a\nb", "x\u{202e}gpj"] {
            assert!(unfit_name(name).is_some(), "{name:?}");
        }
        for name in ["beetles", "con", "NUL", "Käfer 2", "カブトムシ", "..a", "a.b"] {
            assert!(unfit_name(name).is_none(), "{name:?}");
        }
        assert_eq!(printable("a\u{1b}[2Jb\nc"), "a\u{fffd}[2Jb\nc");
    }
}
