//! A disk without space: waited out, as nothing that was acknowledged is lost by it.
//!
//! Invariant: service is tried again only when the disk has the reserve and takes a few megabytes.

use super::{App, Error};
use actix_web::web;
use holdfast_storage::embedded::has_room;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::time::Duration;
use tokio::sync::watch;

/// After a failed journal: true when there is space again, false when told to stop before. An error says that this was not
/// about space.
pub(super) async fn wait_for(
    app: &web::Data<App>,
    reason: &str,
    full: bool,
    stopping: &mut watch::Receiver<bool>,
) -> Result<bool, Error> {
    let mut reported = full;
    if full {
        tracing::error!("the disk is full: orders get 503 until there is space, then service goes on by itself");
    }
    loop {
        let data = app.settings.data.clone();
        let probe = web::block(move || probe_disk(&data.dir, data.reserve_bytes())).await.map_err(io::Error::other)?;
        match probe {
            Ok(()) if reported => return Ok(true),
            Err(error) if is_full(&error) => {
                if !reported {
                    tracing::error!("the disk is full: orders get 503 until there is space, then service goes on by itself");
                }
                reported = true;
            }
            Ok(()) | Err(_) => return Err(Error::Journal(reason.to_owned())),
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
            _ = stopping.wait_for(|stop| *stop) => return Ok(false),
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// Whether the disk has the reserve, and a few megabytes of it can be written and synced.
fn probe_disk(dir: &Path, reserve: u64) -> io::Result<()> {
    if !has_room(dir, reserve) {
        return Err(ErrorKind::StorageFull.into());
    }
    let path = dir.join("space-probe");
    let mut file = File::create(&path)?;
    let written = file.write_all(&vec![0; 4 << 20]).and_then(|()| file.sync_all());
    fs::remove_file(&path)?;
    written
}
