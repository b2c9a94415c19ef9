//! Which channel of an image stands for which channel that a detector was trained with.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::merge::Merge;
use super::set::{Channel, in_words};
use crate::error::{Error, Result};

/// The channel of an image for each channel of a detector; those that are not named are black. In words and on the command line
/// `red=channel1,blue=grey`, the detector's channel first; in JSON a map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<Channel, Channel>", into = "BTreeMap<Channel, Channel>")]
pub struct ChannelMap(BTreeMap<Channel, Channel>);

impl ChannelMap {
    /// What is sensible where nobody has said it: channels of the same name; a single channel of another name is the nucleus
    /// (blue, where the detector has it), which is what most single stains are; of several, each takes the next channel of the
    /// detector that is left.
    pub fn proposed(detector: &Merge, image: &[Channel]) -> Self {
        let theirs: Vec<Channel> = detector.iter().map(|(channel, _)| channel).collect();
        let mut map: BTreeMap<Channel, Channel> =
            image.iter().filter(|channel| theirs.contains(channel)).map(|channel| (*channel, *channel)).collect();
        if let ([only], true) = (image, map.is_empty()) {
            let nucleus = theirs.iter().find(|channel| **channel == Channel::Blue).or(theirs.first());
            map.extend(nucleus.map(|channel| (*channel, *only)));
            return Self(map);
        }
        let mut left = theirs.iter().filter(|channel| !image.contains(channel));
        for channel in image.iter().filter(|channel| !theirs.contains(channel)) {
            map.extend(left.next().map(|theirs| (*theirs, *channel)));
        }
        Self(map)
    }

    /// The weights of the image's channels: those of the detector's channels that they stand for; without a detector the usual
    /// colours of these.
    ///
    /// # Errors
    /// A channel that the detector does not have; two that together pass the largest weight.
    pub fn merge(&self, detector: Option<&Merge>) -> Result<Merge> {
        let usual = || Merge::for_channels(&self.0.keys().copied().collect::<Vec<_>>());
        let detector = detector.cloned().unwrap_or_else(usual);
        let mut weights: BTreeMap<Channel, [f32; 3]> = BTreeMap::new();
        for (theirs, ours) in &self.0 {
            let Some(added) = detector.weights(*theirs) else {
                let names: Vec<Channel> = detector.iter().map(|(channel, _)| channel).collect();
                return Err(Error::Config(format!(
                    "the detector has no channel {theirs}; it has {}",
                    in_words(&names)
                )));
            };
            let sum = weights.entry(*ours).or_default();
            sum.iter_mut().zip(added).for_each(|(sum, added)| *sum += added);
        }
        Merge::new(weights)
    }

    /// What a detector that was trained with `detector` expects and an image with these channels does not have, with a way out;
    /// `None` where every channel of the image is one of the detector's, and for a detector of colour images, which takes
    /// anything as it looks.
    pub fn mismatch(detector: &Merge, image: &[Channel]) -> Option<String> {
        let theirs: Vec<Channel> = detector.iter().map(|(channel, _)| channel).collect();
        let is_colour = *detector == Merge::for_channels(&[Channel::Red, Channel::Green, Channel::Blue]);
        if is_colour || image.iter().all(|channel| theirs.contains(channel)) {
            return None;
        }
        let alone = if image.len() == 1 { " alone" } else { "" };
        Some(format!(
            "the detector was trained on the channels {}, and this image has {}{alone}; it is detected in its own colours, where \
             cells may be missed. Map its channels: --channels {}",
            in_words(&theirs),
            in_words(image),
            Self::proposed(detector, image)
        ))
    }
}

impl From<BTreeMap<Channel, Channel>> for ChannelMap {
    fn from(map: BTreeMap<Channel, Channel>) -> Self {
        Self(map)
    }
}

impl From<ChannelMap> for BTreeMap<Channel, Channel> {
    fn from(map: ChannelMap) -> Self {
        map.0
    }
}

impl FromStr for ChannelMap {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut map = BTreeMap::new();
        for pair in text.split(',') {
            let (theirs, ours) = pair.split_once('=').ok_or_else(|| {
                let example =
                    "channels are pairs of the detector's and the image's, such as red=channel1,blue=channel2";
                Error::Usage(example.to_owned())
            })?;
            let theirs: Channel = theirs.trim().parse()?;
            if map.insert(theirs, ours.trim().parse()?).is_some() {
                return Err(Error::Usage(format!("{theirs} is named twice")));
            }
        }
        Ok(Self(map))
    }
}

impl fmt::Display for ChannelMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (theirs, ours)) in self.0.iter().enumerate() {
            write!(f, "{}{theirs}={ours}", if i > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sensible_is_proposed() {
        let proposed = |image: &[Channel]| ChannelMap::proposed(&Merge::hpa(), image).to_string();
        assert_eq!(proposed(&[Channel::Grey]), "blue=grey");
        assert_eq!(proposed(&[Channel::Index(1)]), "blue=channel1");
        assert_eq!(proposed(&[1, 2, 3].map(Channel::Index)), "red=channel1,green=channel2,blue=channel3");
        assert_eq!(proposed(&[Channel::Blue, Channel::Index(2)]), "red=channel2,blue=blue");
        assert_eq!(proposed(&Channel::HPA), "red=red,green=green,blue=blue,yellow=yellow");
        let six = [1, 2, 3, 4, 5, 6].map(Channel::Index);
        assert_eq!(proposed(&six), "red=channel1,green=channel2,blue=channel3,yellow=channel4");
        let grey = Merge::for_channels(&[Channel::Grey]);
        assert_eq!(ChannelMap::proposed(&grey, &[Channel::Index(2)]).to_string(), "grey=channel2");
    }

    #[test]
    fn a_map_gives_the_weights_of_the_detector() {
        let merge = |text: &str| text.parse::<ChannelMap>().unwrap().merge(Some(&Merge::hpa()));
        let found = merge("blue=grey, Yellow=channel2").unwrap();
        assert_eq!(found.weights(Channel::Grey), Some([0.0, 0.0, 1.0]));
        assert_eq!(found.weights(Channel::Index(2)), Some([0.5, 0.5, 0.0]));
        assert_eq!(merge("red=grey,blue=grey").unwrap().weights(Channel::Grey), Some([1.0, 0.0, 1.0]));
        assert!(merge("grey=grey").unwrap_err().to_string().contains("it has red, green, blue and yellow"));
        for bad in ["", "red", "red=", "red=purple", "red=grey,red=blue"] {
            assert!(bad.parse::<ChannelMap>().is_err(), "{bad}");
        }
    }

    #[test]
    fn without_a_detector_there_are_the_usual_colours() {
        let merge = "red=channel2,blue=channel1".parse::<ChannelMap>().unwrap().merge(None).unwrap();
        assert_eq!(merge.weights(Channel::Index(2)), Some([1.0, 0.0, 0.0]));
        assert_eq!(merge.weights(Channel::Index(1)), Some([0.0, 0.0, 1.0]));
    }

    #[test]
    fn a_mismatch_is_said_with_the_way_out() {
        let sentence = ChannelMap::mismatch(&Merge::hpa(), &[Channel::Grey]).unwrap();
        assert!(sentence.contains("channels red, green, blue and yellow, and this image has grey alone"), "{sentence}");
        assert!(sentence.ends_with("--channels blue=grey"), "{sentence}");
        assert_eq!(ChannelMap::mismatch(&Merge::hpa(), &Channel::HPA), None);
        let colour = Merge::for_channels(&[Channel::Red, Channel::Green, Channel::Blue]);
        assert_eq!(ChannelMap::mismatch(&colour, &[Channel::Grey]), None);
    }
}
