//! Whatever a theme changes, its text stays readable on its surfaces.
#![allow(clippy::unwrap_used, clippy::panic, reason = "in a test it is the failure")]

use std::collections::HashMap;

const TEXTS: [&str; 5] = [
    "--text-primary",
    "--text-secondary",
    "--text-muted",
    "--accent-text",
    "--surface-danger-text",
];
const SURFACES: [&str; 6] =
    ["--depth-1", "--depth-2", "--depth-3", "--bg-root", "--bg-input", "--bg-elevated"];
const CODE: [&str; 7] = [
    "--code-keyword",
    "--code-string",
    "--code-function",
    "--code-number",
    "--code-comment",
    "--code-success",
    "--code-error",
];
/// What WCAG asks of text of ordinary size.
const READABLE: f64 = 4.5;

#[test]
fn text_is_readable_on_every_surface_of_the_dark_theme() {
    assert_readable("dark", &[include_str!("../../style/themes/dark.css")]);
}

/// The light theme changes what differs from the dark one.
#[test]
fn text_is_readable_on_every_surface_of_the_light_theme() {
    let (dark, light) =
        (include_str!("../../style/themes/dark.css"), include_str!("../../style/themes/light.css"));
    assert_readable("light", &[dark, light]);
}

fn assert_readable(theme: &str, files: &[&str]) {
    let variables = variables(files);
    let luminance = |name: &str| luminance(resolve(&variables, name));
    let pairs = TEXTS.iter().flat_map(|text| SURFACES.map(|surface| (*text, surface)));
    // Code stands in blocks of the deepest surface.
    for (text, surface) in pairs.chain(CODE.map(|code| (code, "--depth-1"))) {
        let (a, b) = (luminance(text), luminance(surface));
        let contrast = (a.max(b) + 0.05) / (a.min(b) + 0.05);
        assert!(contrast >= READABLE, "{theme}: {text} on {surface} is {contrast:.2} : 1");
    }
}

fn variables<'a>(files: &[&'a str]) -> HashMap<&'a str, &'a str> {
    let lines = files.iter().flat_map(|file| file.lines());
    let pair = |line: &'a str| {
        let (name, value) = line.trim().split_once(':')?;
        name.starts_with("--").then(|| (name, value.trim().trim_end_matches(';')))
    };
    lines.filter_map(pair).collect()
}

/// Lightness, chroma and hue of a variable, through those that it names.
fn resolve(variables: &HashMap<&str, &str>, name: &str) -> [f64; 3] {
    let value = variables.get(name).unwrap_or_else(|| panic!("{name} is not set"));
    if let Some(other) = value.strip_prefix("var(") {
        return resolve(variables, other.trim_end_matches(')'));
    }
    if *value == "white" {
        return [1.0, 0.0, 0.0];
    }
    let numbers = value.strip_prefix("oklch(").and_then(|rest| rest.strip_suffix(')'));
    let numbers = numbers.unwrap_or_else(|| panic!("{name}: {value} is not an oklch colour"));
    let mut numbers = numbers.split(' ').map(|number| number.parse().unwrap());
    [(); 3].map(|()| numbers.next().unwrap())
}

/// Relative luminance of a colour, clipped to what a screen shows.
fn luminance([lightness, chroma, hue]: [f64; 3]) -> f64 {
    let (b, a) = (chroma * hue.to_radians().sin(), chroma * hue.to_radians().cos());
    let l = (lightness + 0.396_337_777_4 * a + 0.215_803_757_3 * b).powi(3);
    let m = (lightness - 0.105_561_345_8 * a - 0.063_854_172_8 * b).powi(3);
    let s = (lightness - 0.089_484_177_5 * a - 1.291_485_548 * b).powi(3);
    let red = 4.076_741_662_1 * l - 3.307_711_591_3 * m + 0.230_969_929_2 * s;
    let green = -1.268_438_004_6 * l + 2.609_757_401_1 * m - 0.341_319_396_5 * s;
    let blue = -0.004_196_086_3 * l - 0.703_418_614_7 * m + 1.707_614_701 * s;
    0.2126 * red.clamp(0.0, 1.0) + 0.7152 * green.clamp(0.0, 1.0) + 0.0722 * blue.clamp(0.0, 1.0)
}
