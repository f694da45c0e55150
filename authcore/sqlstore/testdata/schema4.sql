PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE chatgate_migrations (
		id INTEGER PRIMARY KEY AUTOINCREMENT,
		version_id INTEGER NOT NULL,
		is_applied INTEGER NOT NULL,
		tstamp TIMESTAMP DEFAULT (datetime('now'))
	);
INSERT INTO chatgate_migrations VALUES(1,0,1,'2026-11-26 20:27:23');
INSERT INTO chatgate_migrations VALUES(2,1,1,'2026-11-26 20:27:23');
INSERT INTO chatgate_migrations VALUES(3,2,1,'2026-11-26 20:27:23');
INSERT INTO chatgate_migrations VALUES(4,3,1,'2026-11-26 20:27:23');
INSERT INTO chatgate_migrations VALUES(5,4,1,'2026-11-26 20:27:23');
CREATE TABLE accounts (
	number        INTEGER PRIMARY KEY AUTOINCREMENT,
	id            TEXT    NOT NULL UNIQUE,
	username      TEXT    NOT NULL UNIQUE,
	skeleton      TEXT    NOT NULL UNIQUE,
	display_name  TEXT    NOT NULL,
	avatar_url    TEXT    NOT NULL,
	bot           INTEGER NOT NULL,
	email         TEXT    NOT NULL,
	email_hash    BLOB    UNIQUE,
	password_hash TEXT    NOT NULL,
	disabled      INTEGER NOT NULL,
	created_at    INTEGER NOT NULL
, epoch INTEGER NOT NULL DEFAULT 0, kept TEXT NOT NULL DEFAULT '', phone_pending INTEGER NOT NULL DEFAULT 0, email_pending INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO accounts VALUES(1,'bc5949dd-adfe-4d6a-a493-405e6e23afa6','claimant','claimant','Claire M.','',0,'claimant@example.com',X'271c90928550433e110cda8a4c323673785ed74dfcd2e40c6c18fd01aeab1f44','$argon2id$v=19$m=64,t=1,p=1$ikHL0xrijn+r+V5xXpHh+w$s5ycGn8ZZ8MZt7lH/4CNFJmg2t3vEYC34w7VyvN9q/Q',0,1795724843349,0,'',0,0);
INSERT INTO accounts VALUES(2,'70286fc2-715c-4ce0-9685-e36dbfdc0d73','bare','bare','','',0,'',NULL,'$argon2id$v=19$m=64,t=1,p=1$e3h41BuOom8x2WoXwFduhA$EuAEdTuHlE6r4EWwLB8O+0TuGZ3epA3DJ9smDCEay9s',0,1795724843353,0,'',0,0);
INSERT INTO accounts VALUES(3,'61220329-0f4c-493d-bc2f-8fa198b889d4','closed','closed','','',0,'closed@example.com',X'9f7219ca95994534b92adb980aa772a1cabf5ee652a24d431aad39cadb6be599','$argon2id$v=19$m=64,t=1,p=1$l4Ip6xjFL8AmM5iLr++8VA$rRjA2mdHywrtaF6xVqTxc7y39Qw0VTJXo7M8pLkc6Gg',1,1795724843360,1,'',0,0);
INSERT INTO accounts VALUES(4,'7da5af51-0a13-4f49-8c9d-182b688d0dd9','resetting','resetting','','',0,'resetting@example.com',X'f9e5a25aeda1851897e0ca1a56d9546e9839e697e84d94b73a00411f67983002','$argon2id$v=19$m=64,t=1,p=1$ndJCjiehrJzT/Bet73w7Uw$KGdp7D2/4uChr/KwfYZ4VrPcF1SERnOKWleKfEWMqog',0,1795724843372,0,'',0,0);
INSERT INTO accounts VALUES(5,'4eccb975-cdaa-46c6-8336-59739e7233cf','validated','validated','','',0,'',X'7f7f4d00a5aacb4cd2e1c197db4dfe00a27ad714df5b965feef8b06b31323bf5','$argon2id$v=19$m=64,t=1,p=1$dgeROybW70IN8MWNl5Mazw$YlG/HYOa6koqbHUp7PUOxggyLIqrrNc+7UL47Rw0YHs',0,1795724843691,0,'',0,0);
INSERT INTO accounts VALUES(6,'afa3bd07-e914-4a64-ac53-b4f2c6c06bd4','emailfirst','emailfirst','','',0,'',X'c19689421d877adb13e36f9aa3ac08c9a07fb608591221dcef55387f78ef7fa0','$argon2id$v=19$m=64,t=1,p=1$QdAap7pOjXHnOKb2Nm+slw$AiwNKcnMz0aphxpCzsrUe7p52HOQ5dlDgct2OOKYUjM',0,1795724843715,0,'',1,0);
INSERT INTO accounts VALUES(7,'b498ce47-c8e9-449f-b5c4-8aa5c5adb54f','phonefirst','phonefirst','','',0,'',X'93afe41266de5e815f01040b92fa3d8ae1661688aa699f448d4b8b6600e2eec9','$argon2id$v=19$m=64,t=1,p=1$F4rhVaMt1J9kQkMRb8kYxw$uhDF5sqGIHqTCDBy7eBRCS2tGFhMPBzUIKCrRY7V8KU',0,1795724843733,0,'',0,1);
INSERT INTO accounts VALUES(8,'edb35c79-3d4e-4d8d-9641-1dbf6e979a30','neither','neither','','',0,'',X'086d2bbf3529c7cf41da4ff13b915002541e2f47ad367cdb93bc19ceab6a6b49','$argon2id$v=19$m=64,t=1,p=1$pp95xwomoR/qElQczb1FAA$UdOcztPUG8czUgh+jddtmI5TaTEBwovTXOpg+o/o6rs',0,1795724843748,0,'',1,1);
INSERT INTO accounts VALUES(9,'5ef5e96a-ac6b-4600-a408-800b6fad34a9','phoneonly','phoneonly','','',0,'',NULL,'$argon2id$v=19$m=64,t=1,p=1$9labnhLuQ+Gh0RN5eMnSPA$IXXzBHGVrUcjmdCB9F3WKx760zJ1+7786I7BrDwh4tk',0,1795724843757,0,'',0,0);
INSERT INTO accounts VALUES(10,'75b36429-d945-4713-ab8a-db3705843017','maria','maria','','',0,'',NULL,'$argon2id$v=19$m=64,t=1,p=1$xJMxhq8YbmyF5qLisGCy1A$3rhNv9HZSwdlDedJmqM9njEsg3jsxPzyBQ7/YAZL9mw',0,1795724843764,0,'',0,0);
INSERT INTO accounts VALUES(11,'16c64147-cddb-4cfd-a8b3-d09f464ac296','revoked','revoked','Maria','',0,'revoked@example.com',X'336db6b77130b4f75cdc8f1c9b6d4b32c8eb04ff91a13fe973e018383b339969','$argon2id$v=19$m=64,t=1,p=1$9Yrz8B/sS3vp1smNdVxDVg$yYzokeObv42I8eeK+9BDp2BN+M2yehxysfVTbiHyxKY',0,1795724843769,1,'Mb_5_a69VCiVgjlYZa3NBA',0,0);
INSERT INTO accounts VALUES(12,'b4a3fff6-5982-4bcd-83bb-561a44726f25','loggedout','loggedout','','',0,'loggedout@example.com',X'ff3a43b64c278e20a2e1e63047fef0f96e14f16458f9caaf84151aac9fbd4a04','$argon2id$v=19$m=64,t=1,p=1$qf8v/1Vp4ynfsTyPmd6koA$2b/XJ+AwoNQ9gl5vsOUaQxQlLUfSUfm6h2pq87ApxZc',0,1795724843782,0,'',0,0);
CREATE TABLE sessions (
	account      TEXT    NOT NULL,
	id           TEXT    NOT NULL,
	created_at   INTEGER NOT NULL,
	last_seen_at INTEGER NOT NULL,
	expires_at   INTEGER NOT NULL,
	idle_limit   INTEGER NOT NULL,
	generation   INTEGER NOT NULL,
	dialect      TEXT    NOT NULL,
	addr         TEXT    NOT NULL,
	user_agent   TEXT    NOT NULL, epoch INTEGER NOT NULL DEFAULT 0,
	PRIMARY KEY (account, id)
) STRICT, WITHOUT ROWID;
INSERT INTO sessions VALUES('16c64147-cddb-4cfd-a8b3-d09f464ac296','Mb_5_a69VCiVgjlYZa3NBA',1795724843770,1795724843770,1798316843770,1209600000,1,'auth','192.0.2.17','Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0',0);
INSERT INTO sessions VALUES('70286fc2-715c-4ce0-9685-e36dbfdc0d73','8pHs9H4grThSGWQdFGuwzQ',1795724843353,1795724843353,1798316843353,1209600000,1,'auth','192.0.2.2','Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0',0);
INSERT INTO sessions VALUES('75b36429-d945-4713-ab8a-db3705843017','aNDR7UDDpFoRO5LjEYZxRg',1795724843765,1795724843765,1798316843765,1209600000,1,'auth','192.0.2.16','Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0',0);
INSERT INTO sessions VALUES('7da5af51-0a13-4f49-8c9d-182b688d0dd9','ATvvAOuCN8yHZNGrNbzQ5g',1795724843377,1795724843377,1798316843377,1209600000,1,'auth','192.0.2.4','Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0',0);
INSERT INTO sessions VALUES('bc5949dd-adfe-4d6a-a493-405e6e23afa6','VQN7DopgODlFEMi8W4LsPA',1795724843349,1795724843349,1798316843349,1209600000,1,'auth','192.0.2.1','Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0',0);
CREATE TABLE keys (
	number     INTEGER PRIMARY KEY AUTOINCREMENT,
	purpose    TEXT    NOT NULL,
	id         TEXT    NOT NULL,
	secret     BLOB    NOT NULL,
	created_at INTEGER NOT NULL,
	retired_at INTEGER,
	delete_at  INTEGER,
	UNIQUE (purpose, id)
) STRICT;
INSERT INTO keys VALUES(1,'signing','oG7dpbu8ORPA',X'379742d14da256168e339d78d901b243b3b8ed4fe4a504b0bebfbc3ec8e0ad61',1795724843339,NULL,NULL);
INSERT INTO keys VALUES(2,'email-hash','xqt1JRtoJWuE',X'80120f04e0ab9283f09d86a7dede7cfba23176b5a40fefb9a93b5ab6eae249eb',1795724843341,NULL,NULL);
INSERT INTO keys VALUES(3,'user-hash','kOzM_bWmzqma',X'2022e3d48e13a938ebcb863bd6cbfe9cce96a6d59cb9e6f74064c716e484c5ff',1795724843342,NULL,NULL);
INSERT INTO keys VALUES(4,'code-hash','aVSjndFlqSSL',X'2e50b1887c4472dd8fa8449ed93b576e4d3b928876418eb1685b5365b3f8619c',1795724843344,NULL,NULL);
INSERT INTO keys VALUES(5,'phone-hash','KDqbDklZftpC',X'7fd7095fc3b5f2606f99f64199d4c04acdf43c32f6b33e65ffafb523136be867',1795724843346,NULL,NULL);
CREATE TABLE revoked_sessions (
	account   TEXT    NOT NULL,
	id        TEXT    NOT NULL,
	forget_at INTEGER NOT NULL,
	PRIMARY KEY (account, id)
) STRICT, WITHOUT ROWID;
INSERT INTO revoked_sessions VALUES('b4a3fff6-5982-4bcd-83bb-561a44726f25','nqT1xZQ8nTlOVRecnc0EWg',1798316843785);
CREATE TABLE codes (
	account    TEXT    NOT NULL,
	purpose    TEXT    NOT NULL,
	request    TEXT    NOT NULL UNIQUE,
	hash       BLOB    NOT NULL,
	tries      INTEGER NOT NULL,
	expires_at INTEGER NOT NULL,
	PRIMARY KEY (account, purpose)
) STRICT, WITHOUT ROWID;
INSERT INTO codes VALUES('7da5af51-0a13-4f49-8c9d-182b688d0dd9','reset','BppSxyIAjUF_AhyqVUrlDA',X'd895481323739eed889f6ae573a9f8839f6a8fb5cbf565be39087d4a2c190df1',0,1795725443378);
INSERT INTO codes VALUES('b498ce47-c8e9-449f-b5c4-8aa5c5adb54f','email','c5a9d88bd5298062407b85af7d1e98d807c7776379f026609778aebf38fd0046',X'16ce5d9a0c9afa35f6ad43c7250335c8b7f71c5acc574ef491d74b68959fbff6',0,1795725443733);
INSERT INTO codes VALUES('edb35c79-3d4e-4d8d-9641-1dbf6e979a30','email','17a3feff7a5a152f85154ba51db44ffa51737f4479aa2d2e818165f01053d7a3',X'c0fe60c11c0b73ca7f3eec16de391063a5c90b44dfca059f7c2aa951cb5b67c1',0,1795725443752);
CREATE TABLE invites (
	id         TEXT    NOT NULL PRIMARY KEY,
	hash       BLOB    NOT NULL UNIQUE,
	uses       INTEGER NOT NULL,
	used       INTEGER NOT NULL,
	email_hash BLOB,
	created_at INTEGER NOT NULL,
	expires_at INTEGER NOT NULL,
	revoked_at INTEGER,
	CHECK (used BETWEEN 0 AND uses)
) STRICT, WITHOUT ROWID;
INSERT INTO invites VALUES('JIkDtxyO2qs8',X'ed02da89ba1cd5d972b0c7f7ac528f65c25bc362709faafaccf17c7041ecd804',3,0,X'f1ff8e39e058a781905cd4ab84c1f0253ca34de05a0e58c8a52a7a2400a256f9',1795724843790,1795728443790,NULL);
CREATE TABLE devices (
	account TEXT    NOT NULL,
	device  BLOB    NOT NULL,
	seen_at INTEGER NOT NULL,
	PRIMARY KEY (account, device)
) STRICT, WITHOUT ROWID;
INSERT INTO devices VALUES('bc5949dd-adfe-4d6a-a493-405e6e23afa6',X'303b2ae6343139f2e8bb21cd21b51c1a18bd6cbed1c1c8c5d6642586957959f2',1795724843353);
INSERT INTO devices VALUES('61220329-0f4c-493d-bc2f-8fa198b889d4',X'449377fc87b3807000def2b38b22052e9621e2b21ad63a3974b7a635b3a52c72',1795724843365);
INSERT INTO devices VALUES('7da5af51-0a13-4f49-8c9d-182b688d0dd9',X'608f5460328579e7823998ac0bfa01a9a55a1768c86efda4b553b0d5d80f0647',1795724843377);
INSERT INTO devices VALUES('16c64147-cddb-4cfd-a8b3-d09f464ac296',X'7facb203c1bc14383463d3b4c4e9e78a6092d0ac36e4e4ec8dda831c984351d7',1795724843775);
INSERT INTO devices VALUES('b4a3fff6-5982-4bcd-83bb-561a44726f25',X'e9eb60651a421f1e98f50b13d92ddfbd8d601d6aa708cf8d126cf75be2ce0312',1795724843785);
CREATE TABLE phones (
	phone BLOB NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;
INSERT INTO phones VALUES(X'4003acfc283d6e031755740816050fe9e3fcfb8221ee11d3a34003f57a551cf1');
INSERT INTO phones VALUES(X'b237cd46dafdccb9b9862b7ab054a1c00c28464c8fc7476d2082f0f2f00dd16c');
INSERT INTO phones VALUES(X'eb976c0189bcb475e81246c5bcf44bb2779b99a5274c336969d5827ae0266c45');
CREATE TABLE phone_codes (
	account    TEXT    NOT NULL PRIMARY KEY,
	phone      BLOB    NOT NULL,
	hash       BLOB    NOT NULL,
	tries      INTEGER NOT NULL,
	expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO phone_codes VALUES('afa3bd07-e914-4a64-ac53-b4f2c6c06bd4',X'079830300dfaef8a13ec114696c0eba4f1fc2d84025f934b5d803d95298da28d',X'c3c26e87f4be4e15e6f2efde5cb9f916c3c4e18e6dfea7dd2126325964bfffc2',0,1795725443723);
INSERT INTO phone_codes VALUES('edb35c79-3d4e-4d8d-9641-1dbf6e979a30',X'3b07de7cc1575d01a7d737a0b620351b62e0184806ea8e637995c6a42e37dc5d',X'e1e4e971f1645010d4b125e6e8c56e0866f199f99d8b4fba51eedcb009be1622',0,1795725443754);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('chatgate_migrations',5);
INSERT INTO sqlite_sequence VALUES('keys',5);
INSERT INTO sqlite_sequence VALUES('accounts',13);
CREATE UNIQUE INDEX chatgate_migrations_once ON chatgate_migrations (version_id);
CREATE INDEX sessions_expire ON sessions (expires_at);
CREATE INDEX sessions_idle ON sessions ((last_seen_at + idle_limit)) WHERE idle_limit > 0;
CREATE UNIQUE INDEX keys_newest ON keys (purpose) WHERE retired_at IS NULL;
CREATE INDEX revoked_sessions_forget ON revoked_sessions (forget_at);
CREATE INDEX codes_expire ON codes (expires_at);
CREATE INDEX devices_seen ON devices (seen_at);
CREATE INDEX accounts_unvalidated ON accounts (created_at) WHERE phone_pending;
CREATE INDEX phone_codes_phone ON phone_codes (phone);
CREATE INDEX phone_codes_expire ON phone_codes (expires_at);
COMMIT;
