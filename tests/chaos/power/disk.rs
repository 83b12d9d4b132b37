//! A disk whose power can be cut: ext4 on a loop device over a file in memory.
//!
//! What has reached the "disk" is in the file. Everything else is in the page cache of the file system above it,
//! which a cut loses. The journal is written at a barrier alone, or every five minutes: never within a test by itself.

use std::path::{Path, PathBuf};

use super::mount_namespace::MountNamespace;

/// Space for a queue, a log that is folded at 8 MB, and the journal of the file system.
const SIZE: &str = "64M";

pub(crate) struct Disk {
    namespace: MountNamespace,
    folder: PathBuf,
    cuts: u32,
}

impl Disk {
    /// A new file system, in a folder of which others see nothing.
    pub(crate) fn new(folder: &Path) -> Self {
        let mut namespace = MountNamespace::new();
        let at = folder.display();
        namespace.sh(&format!("mkdir {at}/images {at}/disk && mount -t tmpfs none {at}/images"));
        let mut disk = Self { namespace, folder: folder.to_owned(), cuts: 0 };
        let image = disk.image(0);
        disk.namespace.sh(&format!("truncate -s {SIZE} {image} && mkfs.ext4 -q {image}"));
        disk.mount();
        disk
    }

    /// Where it is mounted.
    pub(crate) fn mountpoint(&self) -> PathBuf {
        self.folder.join("disk")
    }

    /// What runs a program that sees it.
    pub(crate) fn enter(&self) -> Vec<String> {
        self.namespace.enter(&self.folder)
    }

    /// Cuts the power: afterwards the disk contains what had reached it, with the journal of the file system replayed.
    /// The writing process must have ended or be stopped.
    pub(crate) fn cut(&mut self) {
        let (before, after) = (self.image(self.cuts), self.image(self.cuts + 1));
        let at = self.mountpoint();
        // The copy is made before anything else: to unmount is to write.
        self.namespace.sh(&format!("cp --sparse=always {before} {after}"));
        self.namespace.sh(&format!("umount --lazy {} && rm {before}", at.display()));
        self.cuts += 1;
        self.mount();
    }

    fn image(&self, cuts: u32) -> String {
        self.folder.join(format!("images/{cuts}")).display().to_string()
    }

    fn mount(&mut self) {
        let (image, at) = (self.image(self.cuts), self.mountpoint());
        self.namespace.sh(&format!("mount -o loop,commit=300 {image} {}", at.display()));
    }
}
