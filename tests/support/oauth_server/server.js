// Somebody else's OAuth 2.0 and OpenID server (oauth2-mock-server), with the little there is of GitHub's API.
// Prints its address, and ends when its input does. Whoever is sent to /authorize says there who they are: `as={"sub": ..., ...}`, or `deny=1`.
import { OAuth2Server } from 'oauth2-mock-server';

const server = new OAuth2Server();
await server.issuer.keys.generate('RS256');

const people = new Map(); // by code, then by access token

server.service.on('beforeAuthorizeRedirect', ({ url }, request) => {
  const asked = new URL(request.url, server.issuer.url).searchParams;
  url.searchParams.set('iss', server.issuer.url);
  if (asked.get('deny')) {
    url.searchParams.delete('code');
    url.searchParams.set('error', 'access_denied');
  } else {
    people.set(url.searchParams.get('code'), JSON.parse(asked.get('as')));
  }
});
server.service.on('beforeTokenSigning', ({ payload }, request) => {
  Object.assign(payload, people.get(request.body.code));
});
server.service.on('beforeResponse', ({ body }, request) => {
  people.set(body.access_token, people.get(request.body.code));
});

function api(path, content) {
  server.service.addRoute('GET', path, (request, response) => {
    const person = people.get(request.headers.authorization?.replace('Bearer ', ''));
    response.writeHead(person ? 200 : 401, { 'content-type': 'application/json' });
    response.end(JSON.stringify(person ? content(person) : { message: 'Bad credentials' }));
  });
}
api('/user', ({ sub, name }) => ({ id: Number(sub), login: `login${sub}`, name }));
api('/user/emails', ({ email, email_verified }) => [{ email, primary: true, verified: email_verified }]);

await server.start(0, '127.0.0.1');
server.issuer.url = `http://127.0.0.1:${server.address().port}`;
console.log(server.issuer.url);
process.stdin.on('end', () => process.exit()).resume();
