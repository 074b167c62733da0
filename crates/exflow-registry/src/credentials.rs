use crate::RegistryError;
use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential};
use oci_client::secrets::RegistryAuth;

/// What Docker's configuration calls Docker Hub.
const HUB: &str = "https://index.docker.io/v1/";

/// Where the API of Docker Hub is.
pub(crate) const HUB_API: &str = "registry-1.docker.io";

/// How to prove to a registry who we are: as `docker login` was told.
pub(crate) fn of(registry: &str) -> Result<RegistryAuth, RegistryError> {
    let is_hub = registry == "docker.io" || registry == HUB_API;
    let server = if is_hub { HUB } else { registry };
    let wrong =
        |reason: String| RegistryError::Credentials { registry: registry.to_owned(), reason };
    match get_credential(server) {
        Ok(DockerCredential::UsernamePassword(user, password)) => {
            Ok(RegistryAuth::Basic(user, password))
        }
        Ok(DockerCredential::IdentityToken(_)) => Err(wrong(
            "they are an identity token, which exflow can't use: log in with a user and a password \
             or an access token"
                .to_owned(),
        )),
        // Nobody has logged in there.
        Err(
            CredentialRetrievalError::NoCredentialConfigured
            | CredentialRetrievalError::ConfigNotFound
            | CredentialRetrievalError::ConfigReadError,
        ) => Ok(RegistryAuth::Anonymous),
        Err(CredentialRetrievalError::HelperFailure { helper, stdout, stderr }) => {
            // How a helper says that it knows none (docker-credential-helpers, `errors.go`).
            if stdout.contains("credentials not found") {
                return Ok(RegistryAuth::Anonymous);
            }
            Err(wrong(format!("`{helper}` failed: {}{}", stdout.trim(), stderr.trim())))
        }
        Err(other) => Err(wrong(other.to_string())),
    }
}
