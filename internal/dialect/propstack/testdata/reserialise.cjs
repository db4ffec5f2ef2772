// A receiver that verifies what it makes of the parsed body, as one that is
// public does: JSON.stringify has to give the bytes that were sent.
const crypto = require('crypto');

const [host, port] = process.env.ADDR.split(':');
require('http').createServer((request, response) => {
  request.setEncoding('utf8');
  let body = '';
  request.on('data', (part) => (body += part));
  request.on('end', () => {
    const again = JSON.stringify(JSON.parse(body));
    const hash = crypto.createHmac('sha256', process.env.SECRET).update(again).digest('hex');
    response.writeHead(hash === request.headers['x-propstack-signature'] ? 200 : 403).end();
  });
}).listen(port, host);
