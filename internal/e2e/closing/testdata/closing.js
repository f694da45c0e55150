'use strict';

// The package websocket calls every end unclean but that with 1000.
let alwaysUnclean = false;

// run opens the sockets of each group at once, or one after another where a browser holds up who opens many, and says which
// codes they were closed with. It is the same for browsers and for what speaks their language elsewhere.
async function run(connect, groups, say, inTurn) {
	const held = [];
	for (const g of groups) {
		const sockets = [];
		const opened = [];
		const closed = [];
		for (let i = 0; i < g.count; i++) {
			const socket = connect(g.url, g.protocols);
			sockets.push(socket);
			opened.push(new Promise((open) => {
				closed.push(new Promise((done) => {
					socket.onopen = open;
					socket.onerror = () => {};
					socket.onclose = (e) => {
						open();
						done(e.code + (e.wasClean || alwaysUnclean ? '' : ' unclean'));
					};
				}));
			}));
			if (inTurn) await opened[i];
		}
		await Promise.all(opened);
		for (const socket of sockets) {
			if (g.send === 'text') socket.send('x');
			if (g.send === 'binary') socket.send(new Uint8Array([1, 2, 3]).buffer);
		}
		say('open ' + g.name);
		const all = Promise.all(closed).then((codes) => say('closed ' + g.name + ': ' + codes.join(', ')));
		if (g.hold) held.push(all);
		else await all;
	}
	await Promise.all(held);
	say('done');
}

if (typeof module !== 'undefined') {
	const connect = {
		ws() {
			const WebSocket = require('ws');
			return (url, protocols) => new WebSocket(url, protocols);
		},
		undici() {
			const { WebSocket } = require('undici');
			return (url, protocols) => new WebSocket(url, protocols);
		},
		websocket() {
			alwaysUnclean = true;
			const { w3cwebsocket } = require('websocket');
			return (url, protocols) => new w3cwebsocket(url, protocols);
		},
	}[process.argv[2]]();
	run(connect, JSON.parse(process.argv[3]), console.log);
}
