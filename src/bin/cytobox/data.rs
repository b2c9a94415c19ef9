//! Folders of annotated images, and the device that works on them.

use std::path::Path;

use cytobox::{
    device::DeviceChoice,
    native::{
        data::{self, Annotated, DataOptions},
        images::ImageOptions,
        session::Session,
    },
    protocol::AnnotatedInput,
};

use crate::images::Channels;

/// What the commands that need annotated images share.
#[derive(clap::Args)]
pub struct Options {
    /// Continue without the images that cannot be used, which are listed, instead of stopping.
    #[arg(long)]
    skip_bad: bool,
    /// Give each connected piece of a label image a number of its own, for masks with one value for all objects.
    #[arg(long)]
    number_pieces: bool,
    #[command(flatten)]
    channels: Channels,
}

impl Options {
    /// How the images are read.
    pub fn images(&self) -> anyhow::Result<ImageOptions> {
        self.channels.options()
    }
}

/// Every annotated image of a folder; the others, and everything odd, are said.
pub fn read(session: &mut Session, folder: &Path, options: &Options) -> anyhow::Result<Vec<AnnotatedInput>> {
    let Options { skip_bad, number_pieces, .. } = *options;
    let options = DataOptions { skip_bad, number_pieces, images: options.channels.options()? };
    Ok(data::read(session, folder, &options, &mut |sentence| eprintln!("{sentence}"))?)
}

/// Every annotated image of a folder, none of them read, and how to read them; the others, and everything odd, are said.
pub fn find(session: &mut Session, folder: &Path, options: &Options) -> anyhow::Result<(Vec<Annotated>, ImageOptions)> {
    let Options { skip_bad, number_pieces, .. } = *options;
    let options = DataOptions { skip_bad, number_pieces, images: options.channels.options()? };
    let found = data::find(session, folder, &options, &mut |sentence| eprintln!("{sentence}"))?;
    Ok((found, options.images))
}

/// A session with a device, of which it is said which one and why.
pub fn open(device: DeviceChoice) -> anyhow::Result<Session> {
    let (session, report) = Session::open(device)?;
    eprintln!("{}: {}", report.name, report.why);
    Ok(session)
}
