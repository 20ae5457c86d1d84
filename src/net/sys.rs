//! Operating system calls that neither std, mio nor socket2 offer safely. The only file of `net` with `unsafe`.
#![allow(unsafe_code)]

use socket2::Socket;
use std::fs::File;
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

/// A descriptor of its own for the open file that a number names.
///
/// # Errors
/// The system's; `EBADF` if the number names nothing.
pub fn duplicate_file(fd: RawFd) -> io::Result<File> {
    // SAFETY: fcntl(F_DUPFD_CLOEXEC) makes a new descriptor and changes nothing else; any number is allowed.
    let copy = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0) };
    if copy == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just made and belongs to nobody else.
    Ok(unsafe { File::from_raw_fd(copy) })
}

/// Sends up to `most` bytes of a file to a socket within the kernel. 0: the file ends at `offset`. `None`: that cannot
/// be done here, for these two.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn send_file(
    socket: RawFd,
    file: RawFd,
    offset: u64,
    most: usize,
) -> io::Result<Option<usize>> {
    let Ok(mut offset) = libc::off_t::try_from(offset) else {
        return Ok(None);
    };
    // SAFETY: sendfile reads and writes the one offset given, which lives through the call; wrong descriptors are
    // errors.
    let sent = unsafe { libc::sendfile(socket, file, &raw mut offset, most) };
    match usize::try_from(sent) {
        Ok(sent) => Ok(Some(sent)),
        Err(_) => unless_unable(io::Error::last_os_error()),
    }
}

#[cfg(target_os = "macos")]
pub fn send_file(
    socket: RawFd,
    file: RawFd,
    offset: u64,
    most: usize,
) -> io::Result<Option<usize>> {
    let (Ok(offset), Ok(mut length)) = (
        libc::off_t::try_from(offset),
        libc::off_t::try_from(most.max(1)),
    ) else {
        return Ok(None);
    };
    // SAFETY: sendfile reads and writes the one length given, which lives through the call, and takes no header or
    // trailer from a null pointer; wrong descriptors are errors.
    let done = unsafe {
        libc::sendfile(
            file,
            socket,
            offset,
            &raw mut length,
            std::ptr::null_mut(),
            0,
        )
    };
    // A part may have been sent also where an error says that the rest was not.
    match usize::try_from(length) {
        Ok(sent) if done == 0 || sent > 0 => Ok(Some(sent)),
        _ => unless_unable(io::Error::last_os_error()),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "macos")))]
pub fn send_file(
    _socket: RawFd,
    _file: RawFd,
    _offset: u64,
    _most: usize,
) -> io::Result<Option<usize>> {
    Ok(None)
}

/// `None` for what says that the system does not do it for these descriptors.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "macos"))]
fn unless_unable(error: io::Error) -> io::Result<Option<usize>> {
    match error.raw_os_error() {
        Some(libc::EINVAL | libc::ENOSYS | libc::EOPNOTSUPP | libc::ENOTSOCK) => Ok(None),
        _ => Err(error),
    }
}
