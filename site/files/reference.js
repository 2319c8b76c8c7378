// What swagger-ui shows, and nothing from elsewhere: no validator, no settings out of the query. A JWT that is typed in stays in memory.
globalThis.ui = globalThis.SwaggerUIBundle({
  dom_id: '#reference',
  url: '/openapi.json',
  deepLinking: true,
  displayRequestDuration: true,
  docExpansion: 'list',
  defaultModelsExpandDepth: 0,
  filter: true,
  persistAuthorization: false,
  queryConfigEnabled: false,
  validatorUrl: null,
});
