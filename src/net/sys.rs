//! Operating system calls that neither std, mio nor socket2 offer safely. The only file of `net` with `unsafe`.
#![allow(unsafe_code)]

use socket2::Socket;
use std::io;
use std::os::fd::{FromRawFd, RawFd};

/// Takes over a descriptor that was handed to this process by number.
///
/// # Errors
/// `EBADF` if the number names no open descriptor, `ENOTSOCK` if it names something else than a socket.
pub fn adopt_socket(fd: RawFd) -> io::Result<Socket> {
    // SAFETY: fcntl(F_GETFD) only asks; any number is allowed.
    if unsafe { libc::fcntl(fd, libc::F_GETFD) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `stat` is plain data for which all zeros is a value; fstat fills it for an open descriptor.
    let is_socket = unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        libc::fstat(fd, &mut stat) == 0 && (stat.st_mode & libc::S_IFMT) == libc::S_IFSOCK
    };
    if !is_socket {
        return Err(io::Error::from_raw_os_error(libc::ENOTSOCK));
    }
    // SAFETY: the descriptor is open (checked above); the caller hands over the ownership of it.
    Ok(unsafe { Socket::from_raw_fd(fd) })
}

/// Bytes in a TCP socket's send queue: not sent, or sent and not acknowledged. 0 where the system does not tell.
#[cfg(target_os = "linux")]
pub fn unsent(fd: RawFd) -> u64 {
    let mut bytes: libc::c_int = 0;
    // SAFETY: TIOCOUTQ (SIOCOUTQ of a socket) writes one int to the address given, and reads nothing from it.
    let done = unsafe { libc::ioctl(fd, libc::TIOCOUTQ, &raw mut bytes) };
    if done == 0 {
        u64::try_from(bytes).unwrap_or(0)
    } else {
        0
    }
}

#[cfg(not(target_os = "linux"))]
pub fn unsent(_fd: RawFd) -> u64 {
    0
}
