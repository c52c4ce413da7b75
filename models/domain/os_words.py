"""What the operating system refuses, in the office's words. Pure."""

from __future__ import annotations

import errno

_WORDS = {
    errno.ENOENT: "没有这个文件或者文件夹",
    errno.EISDIR: "这是一个文件夹",
    errno.ENOTDIR: "路径中有一段不是文件夹",
    errno.EEXIST: "已有同名文件",
    errno.EACCES: "没有权限",
    errno.EPERM: "没有权限",
    errno.EROFS: "磁盘是只读的",
    errno.ENOSPC: "磁盘空间不足",
    errno.EDQUOT: "磁盘空间不足",
    errno.EFBIG: "磁盘空间不足",
    errno.ENAMETOOLONG: "名称过长",
    errno.ELOOP: "链接绕成了圈",
    errno.EMFILE: "打开的文件过多",
}


def reason_of(error: OSError) -> str:
    """Why a file could not be opened or written; the system's own words where we have none."""
    return _WORDS.get(error.errno or 0) or error.strerror or type(error).__name__
