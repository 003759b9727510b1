//! A pseudo-terminal: its own side, which reads what programs show and writes what people type.

use std::{io, os::fd::OwnedFd};

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use tokio::{io::unix::AsyncFd, task::coop::consume_budget};

/// Columns and rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) cols: u16,
    pub(super) rows: u16,
}

#[derive(Debug)]
pub(super) struct Pty(AsyncFd<OwnedFd>);

/// The program's side, by its name in `/dev/pts`.
fn open_named(own: &OwnedFd) -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(ptsname(own, Vec::new())?, flags, Mode::empty())?)
}

impl Pty {
    /// A new one, and the program's side of it.
    #[expect(
        deprecated,
        reason = "the descriptor is owned, so it stays open; `register` is unsafe"
    )]
    pub(super) fn open(size: Size) -> io::Result<(Self, OwnedFd)> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let own = openpt(flags)?;
        unlockpt(&own)?;
        let programs = match ioctl_tiocgptpeer(&own, flags) {
            // Early gVisor knows it by its name only.
            Err(Errno::NOTTY) => open_named(&own)?,
            programs => programs?,
        };
        rustix::fs::fcntl_setfl(&own, OFlags::RDWR | OFlags::NONBLOCK)?;
        let pty = Self(AsyncFd::new(own)?);
        pty.resize(size)?;
        Ok((pty, programs))
    }

    /// The programs in it are told by `SIGWINCH`.
    pub(super) fn resize(&self, size: Size) -> io::Result<()> {
        let Size { cols, rows } = size;
        let size = Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
        Ok(tcsetwinsize(self.0.get_ref(), size)?)
    }

    /// Fails once no program has the other side open. Dropping the future loses nothing.
    pub(super) async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            // What is ready at once would never let others have their turn.
            consume_budget().await;
            let mut ready = self.0.readable().await?;
            let read = ready.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut *buffer)?));
            if let Ok(read) = read {
                return read;
            }
        }
    }

    pub(super) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let mut ready = self.0.writable().await?;
            let written = ready.try_io(|fd| Ok(rustix::io::write(fd.get_ref(), bytes)?));
            if let Ok(written) = written {
                bytes = bytes.get(written?..).unwrap_or_default();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn however_much_is_shown_others_have_their_turn() {
        const SHOWN: usize = 2000;
        let (pty, programs) = Pty::open(Size { cols: 80, rows: 24 }).unwrap();
        assert_eq!(rustix::io::write(&programs, &[b'x'; SHOWN]).unwrap(), SHOWN);
        let mut byte = [0];
        assert_eq!(pty.read(&mut byte).await.unwrap(), 1);
        let all = async {
            for _ in 1..SHOWN {
                assert_eq!(pty.read(&mut byte).await.unwrap(), 1);
            }
        };
        tokio::select! {
            biased;
            () = all => panic!("nobody else had a turn"),
            () = tokio::task::yield_now() => {}
        }
    }
}
