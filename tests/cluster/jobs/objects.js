// SPDX-License-Identifier: GPL-2.0
// Objects, typed arrays, JSON, sorting, generated code, worker threads.
'use strict';
const crypto = require('crypto');
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');

function random(state) {
	return () => {
		state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
		return state;
	};
}

const sha = data => crypto.createHash('sha1').update(data).digest('hex');

function churn(seed, count) {
	const next = random(seed);
	const live = new Map();
	for (let i = 0; i < count; i++) {
		const key = next() % (count >> 2);
		live.set(key, { key, text: 'x'.repeat(next() % 60), list: [i, next()] });
		if (next() % 3 === 0)
			live.delete(next() % (count >> 2));
	}
	const all = [...live.values()].sort((a, b) => a.list[1] - b.list[1] || a.key - b.key);
	return sha(JSON.stringify(all));
}

const count = isMainThread ? Number(process.argv[2]) : workerData.count;
if (!isMainThread) {
	parentPort.postMessage(churn(workerData.seed, count));
} else {
	console.log('objects', churn(1, count));
	const words = new Float64Array(count * 4);
	const next = random(2);
	for (let i = 0; i < words.length; i++)
		words[i] = next() / 7;
	words.sort();
	console.log('array', sha(Buffer.from(words.buffer)));
	let sum = 0;
	for (let i = 0; i < 40; i++)
		sum += new Function('a', `let s = 0; for (let i = 0; i < 2000; i++)
			s = (s * ${i + 3} + a + i) % 1000003; return s;`)(i);
	console.log('code', sum);
	const text = Array.from({ length: count }, (_, i) => `${i * 7919 % 104729}`).join(' ');
	console.log('text', sha(text.replace(/\d*9(\d)/g, '<$1>')));
	const worker = new Worker(__filename, { workerData: { seed: 3, count: count >> 1 } });
	worker.on('message', digest => console.log('worker', digest));
}
