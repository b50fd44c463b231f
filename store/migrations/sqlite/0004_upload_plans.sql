-- What the client announced of an upload that it sends in chunks (JSON); NULL: nothing, as with SFTP and FTP.
ALTER TABLE uploads ADD COLUMN plan TEXT;
