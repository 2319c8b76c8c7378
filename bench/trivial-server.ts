import { createServer } from 'node:net';

// Answers whatever it receives with as many bytes as a list has, and does nothing else: what the load generator can reach.

const BODY_BYTES = 8 * 1024;

const answer = `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${BODY_BYTES}\r\n\r\n${'x'.repeat(BODY_BYTES)}`;
const server = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => {});
  socket.on('data', () => socket.write(answer));
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address !== null && typeof address === 'object') {
    console.log(JSON.stringify({ listening: `http://127.0.0.1:${address.port}` }));
  }
});
process.stdin.once('end', () => process.exit(0)).resume();
