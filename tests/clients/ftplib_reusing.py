"""Python's `ftplib` with the few lines that every guide adds so that data connections resume the control connection's TLS session."""

import ftplib


class Reusing(ftplib.FTP_TLS):
    def ntransfercmd(self, cmd, rest=None):
        conn, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        if self._prot_p:
            conn = self.context.wrap_socket(conn, server_hostname=self.host, session=self.sock.session)
            assert conn.session_reused, cmd
        return conn, size
