"""A session of asyncssh's SFTP client: port, login and key file are the arguments. Ends with 0 if all is as it must be."""

import asyncio
import os
import stat
import sys
import tempfile

import asyncssh

port, login, key = int(sys.argv[1]), sys.argv[2], sys.argv[3]


async def main():
    async with asyncssh.connect("127.0.0.1", port, username=login, client_keys=[key], known_hosts=None) as connection:
        async with connection.start_sftp_client() as sftp:
            assert await sftp.getcwd() == "/", await sftp.getcwd()
            await sftp.makedirs("/inbound/asyncssh")
            await sftp.chdir("/inbound/asyncssh")
            with tempfile.TemporaryDirectory() as folder:
                # Forty files at once, over one channel.
                contents = [os.urandom(n * 9_001) for n in range(40)]
                for n, content in enumerate(contents):
                    with open(f"{folder}/f{n}", "wb") as file:
                        file.write(content)
                await asyncio.gather(*(sftp.put(f"{folder}/f{n}", f"f{n}", preserve=True) for n in range(40)))
                await asyncio.gather(*(sftp.get(f"f{n}", f"{folder}/b{n}") for n in range(40)))
                for n, content in enumerate(contents):
                    with open(f"{folder}/b{n}", "rb") as file:
                        assert file.read() == content, n
                    assert (await sftp.stat(f"f{n}")).mtime == int(os.stat(f"{folder}/f{n}").st_mtime)
            async with sftp.open("f7", "r+b") as file:
                await file.seek(100)
                await file.write(b"changed")
                await file.seek(98)
                assert await file.read(11) == contents[7][98:100] + b"changed" + contents[7][107:109]
            await sftp.posix_rename("f7", "f8")
            assert (await sftp.lstat("f8")).size == len(contents[7])
            try:
                await sftp.rename("f9", "f10")
                raise SystemExit("a rename must not overwrite")
            except asyncssh.SFTPError:
                pass
            await sftp.chmod("f9", 0o640)
            assert stat.S_IMODE((await sftp.stat("f9")).permissions) == 0o640
            try:
                await sftp.symlink("f9", "link")
                raise SystemExit("links do not exist here")
            except asyncssh.SFTPOpUnsupported:
                pass
            await sftp.mkdir("folder")
            await sftp.copy("f9", "folder/copy")
            assert (await sftp.stat("folder/copy")).size == len(contents[9])
            assert sorted(n for n in await sftp.glob("f1*")) == sorted(f"f{n}" for n in (1, *range(10, 20)))
            space = await sftp.statvfs("/inbound")
            assert space.blocks >= space.bavail > 0
            await sftp.remove("folder/copy")
            await sftp.rmdir("folder")
            await sftp.put(sys.argv[0], "script")
        # A second channel of the same connection.
        async with connection.start_sftp_client() as sftp:
            assert (await sftp.stat("/inbound/asyncssh/script")).size == os.path.getsize(sys.argv[0])
            await sftp.rename("/inbound/asyncssh/script", "/inbound/asyncssh/f7")
            await sftp.put(sys.argv[0], "/inbound/asyncssh/script")


asyncio.run(main())
