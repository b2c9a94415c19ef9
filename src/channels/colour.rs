//! The colour of a channel, where its file states one: as a look-up table, as a number, or by the name of the dye.

use std::collections::BTreeMap;

use super::set::Channel;

/// Red, green and blue, 0–1.
pub(super) type Colour = [f32; 3];

/// Of each channel in the order of the file, where it is stated.
pub(super) type Colours = Vec<Option<Colour>>;

/// Light of that colour, of any brightness; `None` for black, which says nothing.
pub(super) fn from_rgb8(rgb: [u8; 3]) -> Option<Colour> {
    let most = rgb.into_iter().max().filter(|most| *most > 0)?;
    Some(rgb.map(|part| f32::from(part) / f32::from(most)))
}

const RED: Colour = [1.0, 0.0, 0.0];
const GREEN: Colour = [0.0, 1.0, 0.0];
const BLUE: Colour = [0.0, 0.0, 1.0];
const YELLOW: Colour = [1.0, 1.0, 0.0];
const CYAN: Colour = [0.0, 1.0, 1.0];
const MAGENTA: Colour = [1.0, 0.0, 1.0];
const WHITE: Colour = [1.0; 3];

/// Words of channel names and the colour in which they are shown by convention. Far red has none of its own and is magenta.
const WORDS: &[(&str, Colour)] = &[
    ("red", RED),
    ("rfp", RED),
    ("mcherry", RED),
    ("cherry", RED),
    ("dsred", RED),
    ("tdtomato", RED),
    ("tomato", RED),
    ("mscarlet", RED),
    ("mruby", RED),
    ("tritc", RED),
    ("rhodamine", RED),
    ("texasred", RED),
    ("txred", RED),
    ("cy3", RED),
    ("546", RED),
    ("555", RED),
    ("561", RED),
    ("568", RED),
    ("594", RED),
    ("green", GREEN),
    ("gfp", GREEN),
    ("egfp", GREEN),
    ("mneongreen", GREEN),
    ("neongreen", GREEN),
    ("fitc", GREEN),
    ("cy2", GREEN),
    ("488", GREEN),
    ("blue", BLUE),
    ("dapi", BLUE),
    ("hoechst", BLUE),
    ("hoechst33342", BLUE),
    ("hoechst33258", BLUE),
    ("bfp", BLUE),
    ("405", BLUE),
    ("350", BLUE),
    ("yellow", YELLOW),
    ("yfp", YELLOW),
    ("eyfp", YELLOW),
    ("venus", YELLOW),
    ("citrine", YELLOW),
    ("cyan", CYAN),
    ("cfp", CYAN),
    ("ecfp", CYAN),
    ("cerulean", CYAN),
    ("mturquoise2", CYAN),
    ("magenta", MAGENTA),
    ("farred", MAGENTA),
    ("cy5", MAGENTA),
    ("633", MAGENTA),
    ("640", MAGENTA),
    ("647", MAGENTA),
    ("680", MAGENTA),
    ("draq5", MAGENTA),
    ("grey", WHITE),
    ("gray", WHITE),
    ("white", WHITE),
    ("bf", WHITE),
    ("brightfield", WHITE),
    ("phase", WHITE),
    ("dic", WHITE),
    ("transmitted", WHITE),
    ("trans", WHITE),
];

/// The colour that the name of a channel stands for, such as `DAPI`, `Alexa Fluor 488` or `EGFP-LifeAct`.
pub(super) fn of_name(name: &str) -> Option<Colour> {
    let lower = name.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let known = |word: &str| {
        // `alexa488`, `af647`, `488nm`
        let digits = word.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        let digits = digits.strip_suffix("nm").unwrap_or(digits);
        let bare = if digits.len() == 3 { digits } else { word };
        WORDS.iter().find(|(known, _)| *known == word || *known == bare).map(|(_, colour)| *colour)
    };
    // Two words first: far red is not red.
    let pairs = words.windows(2).find_map(|pair| known(&pair.concat()).filter(|_| !is_number(pair[1])));
    pairs.or_else(|| words.iter().find_map(|word| known(word)))
}

fn is_number(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_digit())
}

/// What a file states of all its channels, in its order: `by_colour` where that tells them apart, else what `by_name` does;
/// empty where nothing does. White for all, as many programs write by default, tells nothing.
pub(super) fn stated(by_colour: Colours, by_name: Colours) -> Colours {
    let tells = |colours: &[Option<Colour>]| {
        let mut known = colours.iter().flatten();
        let first = known.next();
        colours.len() > 1 && first.is_some() && (known.clone().count() == 0 || known.any(|one| Some(one) != first))
    };
    match (tells(&by_colour), tells(&by_name)) {
        (true, true) if by_colour.len() == by_name.len() => {
            by_colour.into_iter().zip(by_name).map(|(colour, name)| colour.or(name)).collect()
        }
        (true, _) => by_colour,
        (_, true) => by_name,
        _ => Vec::new(),
    }
}

/// The channels of planes with these colours, and the weights of those that have no name of their own. Red, green, blue and
/// yellow are that channel, whatever their place in the file; the others keep their number and are shown in their colour, or
/// in one that is left.
pub(super) fn channels(colours: &[Option<Colour>]) -> (Vec<Channel>, BTreeMap<Channel, [f32; 3]>) {
    let mut left: Vec<Colour> = vec![RED, GREEN, BLUE];
    left.retain(|primary| !colours.iter().flatten().any(|colour| near(*colour) == near(*primary)));
    let mut left = left.into_iter();
    let (mut channels, mut weights) = (Vec::new(), BTreeMap::new());
    for (number, colour) in (1..).zip(colours) {
        let named = colour.and_then(near).filter(|channel| !channels.contains(channel));
        let channel = named.unwrap_or(Channel::Index(number));
        if named.is_none() {
            let colour = colour.or_else(|| left.next()).unwrap_or(WHITE);
            // Mixed light at half its strength, as the usual weights have it: two such channels do not clip at once.
            let strength = if near(colour).is_some_and(|channel| channel != Channel::Yellow) { 1.0 } else { 0.5 };
            weights.insert(channel, colour.map(|part| part * strength));
        }
        channels.push(channel);
    }
    (channels, weights)
}

/// The channel whose colour it is: its other parts are less than half as bright.
fn near(colour: Colour) -> Option<Channel> {
    match colour.map(|part| part > 0.5) {
        [true, false, false] => Some(Channel::Red),
        [false, true, false] => Some(Channel::Green),
        [false, false, true] => Some(Channel::Blue),
        [true, true, false] if colour[0].min(colour[1]) > 0.75 => Some(Channel::Yellow),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dyes_have_colours() {
        for (names, colour) in [
            (&["DAPI", "Hoechst 33342", "dapi-T1", "Alexa Fluor 405", "405 nm"][..], BLUE),
            (&["GFP", "EGFP-LifeAct", "FITC", "AF488", "alexa_488", "488nm"], GREEN),
            (&["mCherry", "Texas Red", "TRITC", "Cy3", "Alexa Fluor 594"], RED),
            (&["Far Red", "Cy5", "Alexa647", "far-red"], MAGENTA),
            (&["Bright Field", "DIC", "Phase contrast"], WHITE),
        ] {
            for name in names {
                assert_eq!(of_name(name), Some(colour), "{name}");
            }
        }
        for name in ["", "Channel 1", "C1-Neuron.tif", "reddish", "4", "12488"] {
            assert_eq!(of_name(name), None, "{name}");
        }
    }

    #[test]
    fn ambiguous_colours_leave_the_choice_to_names() {
        let white = vec![Some(WHITE); 2];
        assert_eq!(stated(white.clone(), vec![Some(BLUE), None]), [Some(BLUE), None]);
        assert_eq!(stated(white, vec![None, None]), []);
        assert_eq!(stated(vec![Some(GREEN), None], vec![Some(BLUE), Some(RED)]), [Some(GREEN), Some(RED)]);
    }

    #[test]
    fn a_colour_is_a_channel_wherever_it_stands() {
        let (names, weights) = channels(&[Some(BLUE), Some(GREEN), Some(RED)]);
        assert_eq!((names, weights.len()), (vec![Channel::Blue, Channel::Green, Channel::Red], 0));
        let (names, weights) = channels(&[Some(GREEN), None, Some(MAGENTA), Some([0.0, 1.0, 0.25]), None]);
        let numbered = [2, 3, 4, 5].map(Channel::Index);
        assert_eq!(names[1..], numbered);
        let expected = [[1.0, 0.0, 0.0], [0.5, 0.0, 0.5], [0.0, 1.0, 0.25], [0.0, 0.0, 1.0]];
        assert_eq!(weights, numbered.into_iter().zip(expected).collect());
    }
}
