// A receiver with the function of the vendor's document as it is printed.
const crypto = require('crypto');

function verifySignature(requestBody, signature, secret) {
  const hash = crypto
    .createHmac('sha256', secret)
    .update(requestBody, 'utf8')
    .digest('hex');

  return hash === signature;
}

const [host, port] = process.env.ADDR.split(':');
require('http').createServer((request, response) => {
  request.setEncoding('utf8');
  let body = '';
  request.on('data', (part) => (body += part));
  request.on('end', () => {
    const genuine = verifySignature(body, request.headers['x-propstack-signature'], process.env.SECRET);
    response.writeHead(genuine ? 200 : 403).end();
  });
}).listen(port, host);
