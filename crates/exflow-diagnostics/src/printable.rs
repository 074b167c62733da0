/// `text` without anything that steers a terminal: whatever a file name, a plugin or a step says, it
/// is shown and not obeyed. Line ends and tabs stay. Each character keeps its length in bytes, so
/// that places in the text stay right.
pub fn printable(text: &str) -> String {
    let steers = |letter: char| {
        letter.is_control() && !matches!(letter, '\n' | '\t')
            // Marks that turn the direction of writing, by which code can look like other code.
            || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let shown = |letter: char| match letter.len_utf8() {
        _ if !steers(letter) => letter,
        1 => '?',
        2 => '\u{bf}',
        _ => '\u{fffd}',
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_the_terminal() {
        let text = "a\tb\nc\x1b[2J\u{9b}31m\r\u{202e}é";
        let shown = printable(text);
        assert_eq!(shown, "a\tb\nc?[2J\u{bf}31m?\u{fffd}é");
        assert_eq!(shown.len(), text.len());
    }
}
