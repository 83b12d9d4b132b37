//! A disk whose power can be cut: ext4 on a loop device over a file in memory.
//!
//! The file contains what has reached the "disk". Everything else is in the page cache of the file system, which a cut
//! discards. ext4 writes its journal only at a barrier or every five minutes, so never on its own within a test.

use std::path::{Path, PathBuf};

use super::mount_namespace::MountNamespace;

/// Space for a queue, for a log that is checkpointed at 8 MB, and for the journal of the file system.
const SIZE: &str = "64M";

pub(crate) struct Disk {
    namespace: MountNamespace,
    folder: PathBuf,
    cuts: u32,
}

impl Disk {
    /// A new file system, in a folder that other processes do not see.
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

    /// The folder at which it is mounted.
    pub(crate) fn mountpoint(&self) -> PathBuf {
        self.folder.join("disk")
    }

    /// The command that runs a program which sees the file system.
    pub(crate) fn enter(&self) -> Vec<String> {
        self.namespace.enter(&self.folder)
    }

    /// Cuts the power: afterwards the disk contains what had reached it, with the journal of the file system replayed.
    /// The writing process must have ended or be stopped.
    pub(crate) fn cut(&mut self) {
        let (before, after) = (self.image(self.cuts), self.image(self.cuts + 1));
        let at = self.mountpoint();
        // The copy is made first, because unmounting writes.
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
